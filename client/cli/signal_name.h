// Names of signals.

#ifndef CONFSTREAM_CLIENT_CLI_SIGNAL_NAME_H_
#define CONFSTREAM_CLIENT_CLI_SIGNAL_NAME_H_

#include <signal.h>

#include <cstring>
#include <optional>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"

namespace confstream {

// "HUP" for SIGHUP; a number that has no name as it is.
inline std::string SignalName(int number) {
  const char* const name = sigabbrev_np(number);
  return name == nullptr ? absl::StrCat(number) : name;
}

// The signal that a person calls HUP, SIGHUP, hup or 1; nullopt: none.
inline std::optional<int> ParseSignal(absl::string_view text) {
  const std::string upper = absl::AsciiStrToUpper(text);
  const absl::string_view name = absl::StripPrefix(upper, "SIG");
  int wanted = 0;
  const bool by_number = absl::SimpleAtoi(name, &wanted);
  for (int number = 1; number < NSIG; ++number) {
    const char* const known = sigabbrev_np(number);
    if (known != nullptr && (by_number ? number == wanted : name == known)) return number;
  }
  return std::nullopt;
}

}  // namespace confstream

#endif  // CONFSTREAM_CLIENT_CLI_SIGNAL_NAME_H_
