#include <cstdlib>

#include "client/cli/commands.h"
#include "client/cli/exit_code.h"

namespace confstream {
namespace {

bool WantsColor(ColorMode mode, const Console& console) {
  if (mode != ColorMode::kAuto) return mode == ColorMode::kAlways;
  const char* const no_color = std::getenv("NO_COLOR");
  const char* const terminal = std::getenv("TERM");
  return console.out_is_terminal && (no_color == nullptr || *no_color == '\0') &&
         (terminal == nullptr || std::string(terminal) != "dumb");
}

int Run(const Invocation& invocation, const Console& console) {
  switch (invocation.command) {
    case Invocation::Command::kLs:
    case Invocation::Command::kStatus:
      if (invocation.output == OutputFormat::kRaw) {
        console.Say("--output raw prints the bytes of a file: it is for `get` and `watch`");
        return kExitError;
      }
      return invocation.command == Invocation::Command::kLs ? RunLs(invocation, console)
                                                            : RunStatus(invocation, console);
    case Invocation::Command::kGet:
      return RunGet(invocation, console);
    case Invocation::Command::kWatch:
      return RunWatch(invocation, console);
  }
  return kExitError;
}

}  // namespace

int RunConfstream(const std::vector<std::string>& args, Console* console) {
  const auto parsed = ParseInvocation(args, *console);
  if (const int* const code = std::get_if<int>(&parsed)) return FinishOutput(*console, *code);
  const auto& invocation = std::get<Invocation>(parsed);
  console->color = WantsColor(invocation.color, *console);
  return FinishOutput(*console, Run(invocation, *console));
}

}  // namespace confstream
