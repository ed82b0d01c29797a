// Where a command writes, and what that place can show.

#ifndef CONFSTREAM_CLIENT_CLI_CONSOLE_H_
#define CONFSTREAM_CLIENT_CLI_CONSOLE_H_

#include <ostream>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "client/cli/fd_streambuf.h"

namespace confstream {

enum class Color { kNone, kBold, kDim, kRed, kGreen, kYellow, kCyan };

// Thread-compatible.
struct Console {
  std::ostream* out;
  std::ostream* err;
  const FdStreambuf* out_file = nullptr;  // what is under `out`; null in tests
  bool out_is_terminal = false;
  bool color = false;

  // `text` in a colour, if this console shows colours.
  std::string Paint(Color paint, absl::string_view text) const {
    if (!color || paint == Color::kNone) return std::string(text);
    return absl::StrCat("\x1b[", Code(paint), "m", text, "\x1b[0m");
  }

  // Says something to the person rather than to the next program.
  void Say(absl::string_view sentence) const {
    *err << absl::StrCat("confstream: ", sentence, "\n") << std::flush;
  }

 private:
  static absl::string_view Code(Color paint) {
    switch (paint) {
      case Color::kBold:
        return "1";
      case Color::kDim:
        return "2";
      case Color::kRed:
        return "31";
      case Color::kGreen:
        return "32";
      case Color::kYellow:
        return "33";
      case Color::kCyan:
        return "36";
      case Color::kNone:
        break;
    }
    return "0";
  }
};

}  // namespace confstream

#endif  // CONFSTREAM_CLIENT_CLI_CONSOLE_H_
