#include "server/base/text.h"

#include <algorithm>
#include <cstdint>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace confstream {
namespace {

// Length of the valid UTF-8 sequence at the start of `text`, 0 if there is none.
size_t SequenceLength(absl::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t lead = byte(0);
  if (lead < 0x80) return 1;
  size_t length = 0;
  uint8_t low = 0x80, high = 0xbf;  // bounds of the second byte, table 3-7 of the Unicode standard
  if (lead >= 0xc2 && lead <= 0xdf) {
    length = 2;
  } else if (lead >= 0xe0 && lead <= 0xef) {
    length = 3;
    if (lead == 0xe0) low = 0xa0;
    if (lead == 0xed) high = 0x9f;
  } else if (lead >= 0xf0 && lead <= 0xf4) {
    length = 4;
    if (lead == 0xf0) low = 0x90;
    if (lead == 0xf4) high = 0x8f;
  }
  if (length == 0 || text.size() < length) return 0;
  if (byte(1) < low || byte(1) > high) return 0;
  for (size_t i = 2; i < length; ++i) {
    if (byte(i) < 0x80 || byte(i) > 0xbf) return 0;
  }
  return length;
}

bool IsControl(char c) { return static_cast<uint8_t>(c) < 0x20 || c == 0x7f; }

// True if `text` begins with one of U+0080 to U+009F, which terminals may take for commands, too.
bool IsC1Control(absl::string_view text) {
  return text.size() > 1 && text[0] == '\xc2' && static_cast<uint8_t>(text[1]) < 0xa0;
}

}  // namespace

size_t FindInvalidUtf8(absl::string_view text) {
  size_t i = 0;
  while (i < text.size()) {
    const size_t length = SequenceLength(text.substr(i));
    if (length == 0) return i;
    i += length;
  }
  return absl::string_view::npos;
}

bool HasControlCharacters(absl::string_view text) {
  for (size_t i = 0; i < text.size(); ++i) {
    if (IsControl(text[i]) || IsC1Control(text.substr(i))) return true;
  }
  return false;
}

std::string EscapeForDisplay(absl::string_view text) {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    const char c = text[i];
    const size_t length = IsC1Control(text.substr(i)) ? 0 : SequenceLength(text.substr(i));
    if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (c == '\r') {
      out += "\\r";
    } else if (c == '\\') {
      out += "\\\\";
    } else if (length == 0 || IsControl(c)) {
      out += "\\x";
      out += kHex[static_cast<uint8_t>(c) >> 4];
      out += kHex[static_cast<uint8_t>(c) & 15];
    } else {
      out.append(text.data() + i, length);
    }
    i += length == 0 ? 1 : length;
  }
  return out;
}

std::string LinesForDisplay(absl::string_view text, size_t max_bytes) {
  constexpr absl::string_view kMore = "\n...";
  std::string lines;
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    std::string escaped = EscapeForDisplay(line);
    if (lines.empty()) {
      escaped.resize(std::min(escaped.size(), max_bytes - kMore.size()));
      // Not within a character.
      while (FindInvalidUtf8(escaped) != absl::string_view::npos) escaped.pop_back();
    } else if (lines.size() + 1 + escaped.size() + kMore.size() > max_bytes) {
      return absl::StrCat(lines, kMore);
    }
    absl::StrAppend(&lines, lines.empty() ? "" : "\n", escaped);
  }
  return lines;
}

}  // namespace confstream
