// The commands as CLI11 knows them: names, arguments, options, help. Used by ParseInvocation only.

#ifndef CONFSTREAM_CLIENT_CLI_COMMAND_OPTIONS_H_
#define CONFSTREAM_CLIENT_CLI_COMMAND_OPTIONS_H_

#include <CLI/CLI.hpp>
#include <optional>
#include <string>

#include "absl/time/time.h"
#include "client/cli/invocation.h"

namespace confstream {

// An option that takes a duration within bounds. `name` is the long one, or ends with it.
CLI::Option* AddDurationOption(CLI::App* app, const std::string& name, absl::Duration least,
                               absl::Duration most, std::optional<absl::Duration>* target,
                               const std::string& help);

// The bounds of --timeout.
inline constexpr absl::Duration kLeastTimeout = absl::Milliseconds(1);
inline constexpr absl::Duration kMostTimeout = absl::Hours(24 * 365);

// The subcommands. `invocation` outlives `app`.
void AddReadingCommands(CLI::App* app, Invocation* invocation);        // ls get watch status
void AddAdminCommands(CLI::App* app, Invocation* invocation);          // history ... validate
void AddMaterializingCommands(CLI::App* app, Invocation* invocation);  // sync exec

}  // namespace confstream

#endif  // CONFSTREAM_CLIENT_CLI_COMMAND_OPTIONS_H_
