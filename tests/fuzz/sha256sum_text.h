// What the program sha256sum prints, on which digests of views and checksum manifests are founded.

#ifndef CONFSTREAM_TESTS_FUZZ_SHA256SUM_TEXT_H_
#define CONFSTREAM_TESTS_FUZZ_SHA256SUM_TEXT_H_

#include <map>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "server/base/sha256.h"

namespace confstream {

// The lines for the files, content by path.
inline std::string Sha256sumText(const std::map<std::string, std::string>& files) {
  std::string text;
  for (const auto& [path, bytes] : files) {
    const std::string escaped =
        absl::StrReplaceAll(path, {{"\\", "\\\\"}, {"\n", "\\n"}, {"\r", "\\r"}});
    absl::StrAppend(&text, escaped == path ? "" : "\\", Sha256::Of(bytes).Hex(), "  ", escaped,
                    "\n");
  }
  return text;
}

}  // namespace confstream

#endif  // CONFSTREAM_TESTS_FUZZ_SHA256SUM_TEXT_H_
