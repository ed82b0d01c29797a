// What all rules about the text of a file share: places in it, and violations at a place.

#ifndef CONFSTREAM_SERVER_VALIDATE_FILE_VIOLATION_H_
#define CONFSTREAM_SERVER_VALIDATE_FILE_VIOLATION_H_

#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"
#include "server/snapshot/violation.h"

namespace confstream {

// Most levels of nesting that any rule admits, whatever SourceLimits::max_nesting says. It lies
// below the 256 of toml++, so that it is our bound that is reported.
constexpr int kHighestNesting = 250;

// Longest message of a violation, in bytes before escaping.
constexpr size_t kMaxViolationMessageBytes = 200;

// A place as people count: line and column from 1, columns in characters (code points).
struct TextPlace {
  int64_t line = 1;
  int64_t column = 1;
};

// The place of the byte at `offset`, or of the end of `bytes` if that comes first. A byte order
// mark at the beginning is not counted: no editor shows it.
TextPlace PlaceOf(absl::string_view bytes, size_t offset);

// The offset of the character with this number, counted from 0 and without a byte order mark at the
// beginning; the size of `bytes` if there are fewer.
size_t OffsetOfCharacter(absl::string_view bytes, size_t number);

// A violation of `rule` at `place`. `path` and `message` may come from outside: they are escaped,
// and the message is cut to kMaxViolationMessageBytes.
Violation MakeViolation(absl::string_view path, TextPlace place, absl::string_view rule,
                        absl::string_view message);

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_VALIDATE_FILE_VIOLATION_H_
