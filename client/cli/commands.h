// The commands. Each connects to the server that the command line names, writes to the console and
// returns the exit code.

#ifndef CONFSTREAM_CLIENT_CLI_COMMANDS_H_
#define CONFSTREAM_CLIENT_CLI_COMMANDS_H_

#include <string>
#include <vector>

#include "client/cli/command_line.h"
#include "client/cli/console.h"

namespace confstream {

int RunLs(const CommandLine& line, const Console& console);
int RunGet(const CommandLine& line, const Console& console);
int RunWatch(const CommandLine& line, const Console& console);
int RunStatus(const CommandLine& line, const Console& console);

// All of the program but its process: reads `args` (without the program's name) and runs the
// command. console->color is set from them.
int RunConfstream(const std::vector<std::string>& args, Console* console);

}  // namespace confstream

#endif  // CONFSTREAM_CLIENT_CLI_COMMANDS_H_
