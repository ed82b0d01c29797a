// The commands. Each connects to the server that the command line names, writes to the console and
// returns the exit code.

#ifndef CONFSTREAM_CLIENT_CLI_COMMANDS_H_
#define CONFSTREAM_CLIENT_CLI_COMMANDS_H_

#include <string>
#include <vector>

#include "client/cli/console.h"
#include "client/cli/invocation.h"

namespace confstream {

int RunLs(const Invocation& invocation, const Console& console);
int RunGet(const Invocation& invocation, const Console& console);
int RunWatch(const Invocation& invocation, const Console& console);
int RunStatus(const Invocation& invocation, const Console& console);
int RunHistory(const Invocation& invocation, const Console& console);
int RunDiff(const Invocation& invocation, const Console& console);
int RunRollback(const Invocation& invocation, const Console& console);
int RunUnpin(const Invocation& invocation, const Console& console);
int RunReload(const Invocation& invocation, const Console& console);
int RunEvents(const Invocation& invocation, const Console& console);
int RunWho(const Invocation& invocation, const Console& console);
int RunValidate(const Invocation& invocation, const Console& console);
int RunSync(const Invocation& invocation, const Console& console);
int RunExec(const Invocation& invocation, const Console& console);

// All of the program but its process: reads `args` (without the program's name) and runs the
// command. console->color is set from them.
int RunConfstream(const std::vector<std::string>& args, Console* console);

}  // namespace confstream

#endif  // CONFSTREAM_CLIENT_CLI_COMMANDS_H_
