// Lines and columns of many places in one text.

#ifndef CONFSTREAM_SERVER_VALIDATE_PLACE_CURSOR_H_
#define CONFSTREAM_SERVER_VALIDATE_PLACE_CURSOR_H_

#include <cstddef>

#include "absl/strings/string_view.h"
#include "server/validate/file_violation.h"

namespace confstream {

// Tells what PlaceOf tells, but each place is counted on from the one before: places asked for in
// ascending order take time in the order of the text, all together. Thread-compatible.
class PlaceCursor {
 public:
  // `bytes` is valid UTF-8 and outlives the cursor.
  explicit PlaceCursor(absl::string_view bytes);

  // The place of the byte at `offset`.
  TextPlace AtOffset(size_t offset);
  // The place of the character with this number, as OffsetOfCharacter counts.
  TextPlace AtCharacter(size_t number);

 private:
  void Restart();
  void Advance();  // behind the current character

  const absl::string_view bytes_;
  size_t offset_ = 0;
  size_t character_ = 0;
  TextPlace place_;
};

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_VALIDATE_PLACE_CURSOR_H_
