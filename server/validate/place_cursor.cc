#include "server/validate/place_cursor.h"

namespace confstream {

PlaceCursor::PlaceCursor(absl::string_view bytes) : bytes_(bytes) { Restart(); }

TextPlace PlaceCursor::AtOffset(size_t offset) {
  if (offset < offset_) Restart();
  while (offset_ < offset && offset_ < bytes_.size()) Advance();
  return place_;
}

TextPlace PlaceCursor::AtCharacter(size_t number) {
  if (number < character_) Restart();
  while (character_ < number && offset_ < bytes_.size()) Advance();
  return place_;
}

void PlaceCursor::Restart() {
  offset_ = OffsetOfCharacter(bytes_, 0);
  character_ = 0;
  place_ = TextPlace();
}

void PlaceCursor::Advance() {
  if (bytes_[offset_] == '\n') {
    ++place_.line;
    place_.column = 1;
  } else {
    ++place_.column;
  }
  ++offset_;
  while (offset_ < bytes_.size() && (static_cast<unsigned char>(bytes_[offset_]) & 0xc0) == 0x80) {
    ++offset_;
  }
  ++character_;
}

}  // namespace confstream
