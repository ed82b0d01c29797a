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

bool CanBeRaw(Invocation::Command command) {
  return command == Invocation::Command::kGet || command == Invocation::Command::kWatch;
}

int Run(const Invocation& invocation, const Console& console) {
  if (invocation.output == OutputFormat::kRaw && !CanBeRaw(invocation.command)) {
    console.Say("--output raw prints the bytes of a file: it is for `get` and `watch`");
    return kExitError;
  }
  switch (invocation.command) {
    case Invocation::Command::kLs:
      return RunLs(invocation, console);
    case Invocation::Command::kGet:
      return RunGet(invocation, console);
    case Invocation::Command::kWatch:
      return RunWatch(invocation, console);
    case Invocation::Command::kStatus:
      return RunStatus(invocation, console);
    case Invocation::Command::kHistory:
      return RunHistory(invocation, console);
    case Invocation::Command::kDiff:
      return RunDiff(invocation, console);
    case Invocation::Command::kRollback:
      return RunRollback(invocation, console);
    case Invocation::Command::kUnpin:
      return RunUnpin(invocation, console);
    case Invocation::Command::kReload:
      return RunReload(invocation, console);
    case Invocation::Command::kEvents:
      return RunEvents(invocation, console);
    case Invocation::Command::kWho:
      return RunWho(invocation, console);
    case Invocation::Command::kValidate:
      return RunValidate(invocation, console);
    case Invocation::Command::kSync:
      return RunSync(invocation, console);
    case Invocation::Command::kExec:
      return RunExec(invocation, console);
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
