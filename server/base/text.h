// Text that comes from outside: checking and showing it.

#ifndef CONFSTREAM_SERVER_BASE_TEXT_H_
#define CONFSTREAM_SERVER_BASE_TEXT_H_

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"

namespace confstream {

// Position of the first byte that is not part of valid UTF-8 (RFC 3629: no overlong forms, no
// surrogates); npos if there is none.
size_t FindInvalidUtf8(absl::string_view text);

inline bool IsValidUtf8(absl::string_view text) {
  return FindInvalidUtf8(text) == absl::string_view::npos;
}

// True if `text` has a control character: below U+0020, U+007F, or U+0080 to U+009F.
bool HasControlCharacters(absl::string_view text);

// `text` made safe to print and to put into a protobuf string: control characters, backslashes and
// bytes that are not valid UTF-8 appear as \n, \t, \r, \\ or \xNN.
std::string EscapeForDisplay(absl::string_view text);

// The lines of `text`, each escaped for display: as many as fit into `max_bytes`, the last of them
// `...` if there are more. What does not fit of the first is cut.
std::string LinesForDisplay(absl::string_view text, size_t max_bytes);

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_BASE_TEXT_H_
