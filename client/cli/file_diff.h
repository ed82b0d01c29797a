// How one file differs between two versions, shown to people.

#ifndef CONFSTREAM_CLIENT_CLI_FILE_DIFF_H_
#define CONFSTREAM_CLIENT_CLI_FILE_DIFF_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "client/cli/console.h"

namespace confstream {

// A unified diff of the file, in colours if the console shows them; for content that is not text
// one line. nullopt: the file is not there.
void PrintFileDiff(const std::string& path, std::optional<absl::string_view> before,
                   std::optional<absl::string_view> after, const Console& console);

// The one line for a file whose content is not shown: "Files a/x and b/x differ (1 B -> 2 B)".
// `kind` is its first word; sizes in bytes, nullopt: the file is not there.
void PrintUnshownDiff(absl::string_view kind, const std::string& path,
                      std::optional<int64_t> before, std::optional<int64_t> after,
                      const Console& console);

}  // namespace confstream

#endif  // CONFSTREAM_CLIENT_CLI_FILE_DIFF_H_
