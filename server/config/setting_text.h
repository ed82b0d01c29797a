// The texts that settings are written as, and their meaning.

#ifndef CONFSTREAM_SERVER_CONFIG_SETTING_TEXT_H_
#define CONFSTREAM_SERVER_CONFIG_SETTING_TEXT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace confstream {

// A value as it was given, and by whom.
struct SettingText {
  std::string text;
  std::string place;      // FILE:LINE:COLUMN; empty for flags and environment variables
  std::string name;       // what to call it: settle, --listen, CONFSTREAM_LISTEN
  std::string directory;  // absolute: what a relative path in it is relative to

  // Where the value comes from.
  const std::string& origin() const { return place.empty() ? name : place; }
  // The beginning of a sentence about the value: "app.yaml:7:13: settle `5 parsecs`".
  std::string subject() const;
};

// What the parsers below return on failure is an INVALID_ARGUMENT whose message carries on the
// sentence that SettingText::subject begins: what is wrong, a colon, and what to write instead.

// A duration such as 500ms or 1m30s, within bounds.
absl::StatusOr<absl::Duration> ParseDurationSetting(absl::string_view text, absl::Duration least,
                                                    absl::Duration most);

// A number of bytes such as 4096 or 16MiB, within bounds.
absl::StatusOr<int64_t> ParseSizeSetting(absl::string_view text, int64_t least, int64_t most);

// A decimal number, within bounds.
absl::StatusOr<int64_t> ParseCountSetting(absl::string_view text, int64_t least, int64_t most);

// true or false.
absl::StatusOr<bool> ParseSwitchSetting(absl::string_view text);

// A path, which is made absolute as text only: it need not exist, no link is resolved, and `..`
// stays, since what it means depends on links.
absl::StatusOr<std::string> ParsePathSetting(absl::string_view text, absl::string_view directory);

// The name of a source: 1 to 63 characters of [a-z0-9.-_], beginning with a letter or digit.
absl::Status CheckSourceName(absl::string_view text);

// A size as ParseSizeSetting reads it, in the largest unit that it is a multiple of.
std::string FormatSize(int64_t bytes);

// The word of `known` that `word` is most probably a slip of; empty if none is near.
std::string NearestWord(absl::string_view word, const std::vector<std::string>& known);

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_CONFIG_SETTING_TEXT_H_
