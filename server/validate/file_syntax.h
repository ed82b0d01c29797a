// Which syntax a file's name promises.

#ifndef CONFSTREAM_SERVER_VALIDATE_FILE_SYNTAX_H_
#define CONFSTREAM_SERVER_VALIDATE_FILE_SYNTAX_H_

#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/string_view.h"

namespace confstream {

enum class FileSyntax { kOpaque, kYaml, kJson, kToml };

// By extension, whatever its case; kOpaque: nothing is known of the bytes.
inline FileSyntax SyntaxOf(absl::string_view path) {
  const std::string name = absl::AsciiStrToLower(path);
  if (absl::EndsWith(name, ".yaml") || absl::EndsWith(name, ".yml")) return FileSyntax::kYaml;
  if (absl::EndsWith(name, ".json")) return FileSyntax::kJson;
  if (absl::EndsWith(name, ".toml")) return FileSyntax::kToml;
  return FileSyntax::kOpaque;
}

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_VALIDATE_FILE_SYNTAX_H_
