// How the command ends. docs/confstream.md and --help list the same.

#ifndef CONFSTREAM_CLIENT_CLI_EXIT_CODE_H_
#define CONFSTREAM_CLIENT_CLI_EXIT_CODE_H_

#include <string>

#include "absl/status/status.h"
#include "client/cli/console.h"

namespace confstream {

enum ExitCode : int {
  kExitOk = 0,
  kExitError = 1,        // wrong usage, or an error that is none of the others
  kExitUnreachable = 2,  // no server answered in time
  kExitNotFound = 3,     // no such source, file or version
  kExitNotServing = 4,   // the server is not healthy, its configuration was refused, or a source is
                         // not SERVING or has nothing yet
  kExitTimeOver = 5,     // the --timeout of `watch` or `sync` passed
  kExitInvalid = 6,      // `validate`: the files break a rule
  kExitCannotRun = 126,  // `exec`: COMMAND cannot be run, as env(1) has it
  kExitNoCommand = 127,  // `exec`: there is no such COMMAND
};

// Explains `error`, what to do about it included, on console.err. `address` is the server's.
int Fail(const Console& console, const absl::Status& error, const std::string& address);

// As Fail, for calls of the admin service, which a server need not offer.
int FailAdmin(const Console& console, const absl::Status& error, const std::string& address);

// The sentence that tells a person what to do about a server that cannot be reached.
std::string UnreachableRemedy();

// `code`, if all that was written arrived. Otherwise, if the reader of a pipe has left, as `head`
// does, kExitOk; else kExitError, with the reason on console.err.
int FinishOutput(const Console& console, int code);

}  // namespace confstream

#endif  // CONFSTREAM_CLIENT_CLI_EXIT_CODE_H_
