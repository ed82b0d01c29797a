#include "server/config/setting_text.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "server/base/text.h"

namespace confstream {
namespace {

constexpr std::pair<const char*, int64_t> kSizeUnits[] = {
    {"GiB", int64_t{1} << 30}, {"MiB", int64_t{1} << 20}, {"KiB", int64_t{1} << 10}};

absl::Status OutOfBounds(absl::string_view least, absl::string_view most) {
  return absl::InvalidArgumentError(
      absl::StrCat("is out of bounds: it can be from ", least, " to ", most));
}

bool IsNumber(absl::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == absl::string_view::npos;
}

// How many characters must be inserted, deleted or replaced to get from `a` to `b`.
size_t EditDistance(absl::string_view a, absl::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row.back();
}

}  // namespace

std::string SettingText::subject() const {
  const std::string value = absl::StrCat(name, " `", EscapeForDisplay(text.substr(0, 100)), "`");
  return place.empty() ? value : absl::StrCat(place, ": ", value);
}

absl::StatusOr<absl::Duration> ParseDurationSetting(absl::string_view text, absl::Duration least,
                                                    absl::Duration most) {
  absl::Duration duration;
  if (!absl::ParseDuration(std::string(text), &duration)) {
    return absl::InvalidArgumentError(
        "is not a duration: write numbers with the units ns, us, ms, s, m or h, for example 500ms "
        "or 1m30s");
  }
  if (duration < least || duration > most) {
    return OutOfBounds(absl::FormatDuration(least), absl::FormatDuration(most));
  }
  return duration;
}

absl::StatusOr<int64_t> ParseSizeSetting(absl::string_view text, int64_t least, int64_t most) {
  absl::string_view digits = text;
  int64_t unit = 1;
  for (const auto& size_unit : kSizeUnits) {
    if (absl::ConsumeSuffix(&digits, size_unit.first)) {
      unit = size_unit.second;
      break;
    }
  }
  if (!IsNumber(digits)) {
    return absl::InvalidArgumentError(
        "is not a size: write a number of bytes, or a whole number with KiB, MiB or GiB, for "
        "example 16MiB");
  }
  int64_t number = 0;
  if (!absl::SimpleAtoi(digits, &number) || number > most / unit || number * unit < least) {
    return OutOfBounds(FormatSize(least), FormatSize(most));
  }
  return number * unit;
}

absl::StatusOr<int64_t> ParseCountSetting(absl::string_view text, int64_t least, int64_t most) {
  absl::string_view digits = text;
  absl::ConsumePrefix(&digits, "-");
  if (!IsNumber(digits)) {
    return absl::InvalidArgumentError(
        absl::StrCat("is not a number: write one from ", least, " to ", most));
  }
  int64_t number = 0;
  if (!absl::SimpleAtoi(text, &number) || number < least || number > most) {
    return OutOfBounds(absl::StrCat(least), absl::StrCat(most));
  }
  return number;
}

absl::StatusOr<bool> ParseSwitchSetting(absl::string_view text) {
  if (text == "true") return true;
  if (text == "false") return false;
  return absl::InvalidArgumentError("is neither true nor false: write one of them");
}

absl::StatusOr<std::string> ParsePathSetting(absl::string_view text, absl::string_view directory) {
  if (text.empty()) return absl::InvalidArgumentError("is empty: write a path");
  if (!IsValidUtf8(text) || HasControlCharacters(text)) {
    return absl::InvalidArgumentError(
        "is not UTF-8 or has control characters: rename the file, or lead a link to it");
  }
  const std::string whole =
      absl::StartsWith(text, "/") ? std::string(text) : absl::StrCat(directory, "/", text);
  std::string path;
  for (const absl::string_view component : absl::StrSplit(whole, '/', absl::SkipEmpty())) {
    if (component != ".") absl::StrAppend(&path, "/", component);
  }
  return path.empty() ? "/" : path;
}

absl::Status CheckSourceName(absl::string_view text) {
  constexpr char kFirst[] = "abcdefghijklmnopqrstuvwxyz0123456789";
  const bool valid = !text.empty() && text.size() <= 63 &&
                     absl::string_view(kFirst).find(text[0]) != absl::string_view::npos &&
                     text.find_first_not_of(absl::StrCat(kFirst, ".-_")) == absl::string_view::npos;
  if (valid) return absl::OkStatus();
  return absl::InvalidArgumentError(
      "is not the name of a source: write 1 to 63 characters of a-z, 0-9, `.`, `-` and `_`, "
      "beginning with a letter or digit");
}

std::string FormatSize(int64_t bytes) {
  for (const auto& unit : kSizeUnits) {
    if (bytes != 0 && bytes % unit.second == 0)
      return absl::StrCat(bytes / unit.second, unit.first);
  }
  return absl::StrCat(bytes);
}

std::string NearestWord(absl::string_view word, const std::vector<std::string>& known) {
  const absl::string_view looked_at = word.substr(0, 64);  // bounds the time
  std::string nearest;
  size_t least = 1 + std::max<size_t>(2, looked_at.size() / 3);
  for (const std::string& candidate : known) {
    const size_t distance = EditDistance(looked_at, candidate);
    if (distance < least) {
      least = distance;
      nearest = candidate;
    }
  }
  return nearest;
}

}  // namespace confstream
