// The commands as CLI11 knows them: names, arguments, options, help. Used by ParseInvocation only.

#ifndef CONFSTREAM_CLIENT_CLI_COMMAND_OPTIONS_H_
#define CONFSTREAM_CLIENT_CLI_COMMAND_OPTIONS_H_

#include <CLI/CLI.hpp>
#include <optional>
#include <string>

#include "absl/time/time.h"
#include "client/cli/invocation.h"

namespace confstream {

// An option that takes a duration: parses into `target`, refuses what is none or not positive.
CLI::Option* AddDurationOption(CLI::App* app, const std::string& name,
                               std::optional<absl::Duration>* target, const std::string& help);

// The subcommands. `invocation` outlives `app`.
void AddReadingCommands(CLI::App* app, Invocation* invocation);        // ls get watch status
void AddAdminCommands(CLI::App* app, Invocation* invocation);          // history ... validate
void AddMaterializingCommands(CLI::App* app, Invocation* invocation);  // sync exec

}  // namespace confstream

#endif  // CONFSTREAM_CLIENT_CLI_COMMAND_OPTIONS_H_
