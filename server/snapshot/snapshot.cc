#include "server/snapshot/snapshot.h"

#include <algorithm>

#include "absl/strings/str_replace.h"

namespace confstream {

void TreeDigest::Add(absl::string_view path, const Sha256& digest) {
  // sha256sum marks a line with a leading backslash when it has to escape the name (coreutils,
  // "md5sum invocation").
  const bool escapes = std::any_of(path.begin(), path.end(),
                                   [](char c) { return c == '\\' || c == '\n' || c == '\r'; });
  line_.clear();
  if (escapes) line_ += '\\';
  digest.AppendHex(&line_);
  line_ += "  ";
  if (!escapes) {
    line_.append(path.data(), path.size());
  } else {
    line_ += absl::StrReplaceAll(path, {{"\\", "\\\\"}, {"\n", "\\n"}, {"\r", "\\r"}});
  }
  line_ += '\n';
  hasher_.Update(line_);
}

Sha256 TreeDigest::Finish() { return hasher_.Finish(); }

}  // namespace confstream
