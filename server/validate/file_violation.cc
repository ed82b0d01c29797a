#include "server/validate/file_violation.h"

#include <algorithm>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/base/text.h"

namespace confstream {
namespace {

bool ContinuesCharacter(char c) { return (static_cast<uint8_t>(c) & 0xc0) == 0x80; }

size_t SizeOfByteOrderMark(absl::string_view bytes) {
  return absl::StartsWith(bytes, "\xef\xbb\xbf") ? 3 : 0;
}

std::string Shortened(absl::string_view message) {
  if (message.size() <= kMaxViolationMessageBytes) return std::string(message);
  size_t end = kMaxViolationMessageBytes;
  while (end > 0 && ContinuesCharacter(message[end])) --end;
  return absl::StrCat(message.substr(0, end), "...");
}

}  // namespace

TextPlace PlaceOf(absl::string_view bytes, size_t offset) {
  const absl::string_view before = bytes.substr(0, std::min(offset, bytes.size()));
  TextPlace place;
  for (size_t i = SizeOfByteOrderMark(before); i < before.size(); ++i) {
    if (before[i] == '\n') {
      ++place.line;
      place.column = 1;
    } else if (!ContinuesCharacter(before[i])) {
      ++place.column;
    }
  }
  return place;
}

size_t OffsetOfCharacter(absl::string_view bytes, size_t number) {
  size_t offset = SizeOfByteOrderMark(bytes);
  for (; number > 0 && offset < bytes.size(); --number) {
    ++offset;
    while (offset < bytes.size() && ContinuesCharacter(bytes[offset])) ++offset;
  }
  return offset;
}

Violation MakeViolation(absl::string_view path, TextPlace place, absl::string_view rule,
                        absl::string_view message) {
  Violation violation;
  violation.path = EscapeForDisplay(path);
  violation.line = place.line;
  violation.column = place.column;
  violation.rule = std::string(rule);
  violation.message = EscapeForDisplay(Shortened(message));
  return violation;
}

}  // namespace confstream
