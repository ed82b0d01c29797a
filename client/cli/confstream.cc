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

int Run(const CommandLine& line, const Console& console) {
  switch (line.command) {
    case CommandLine::Command::kLs:
    case CommandLine::Command::kStatus:
      if (line.output == OutputFormat::kRaw) {
        console.Say("--output raw prints the bytes of a file: it is for `get` and `watch`");
        return kExitError;
      }
      return line.command == CommandLine::Command::kLs ? RunLs(line, console)
                                                       : RunStatus(line, console);
    case CommandLine::Command::kGet:
      return RunGet(line, console);
    case CommandLine::Command::kWatch:
      return RunWatch(line, console);
  }
  return kExitError;
}

}  // namespace

int RunConfstream(const std::vector<std::string>& args, Console* console) {
  const auto parsed = ParseCommandLine(args, *console);
  if (const int* const code = std::get_if<int>(&parsed)) return FinishOutput(*console, *code);
  const auto& line = std::get<CommandLine>(parsed);
  console->color = WantsColor(line.color, *console);
  return FinishOutput(*console, Run(line, *console));
}

}  // namespace confstream
