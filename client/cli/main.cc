// The command `confstream`. docs/confstream.md is its reference.

#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <iostream>
#include <ostream>
#include <string>
#include <vector>

#include "client/cli/commands.h"
#include "client/cli/console.h"
#include "client/cli/fd_streambuf.h"

int main(int argc, char** argv) {
  // A reader that leaves early, as in `confstream watch x | head -1`, shows as a failed write.
  signal(SIGPIPE, SIG_IGN);
  // What gRPC would log is said better by this program's own messages.
  setenv("GRPC_VERBOSITY", "NONE", /*overwrite=*/0);

  confstream::FdStreambuf out_file(STDOUT_FILENO);
  std::ostream out(&out_file);
  confstream::Console console{&out, &std::cerr, &out_file, isatty(STDOUT_FILENO) == 1};
  return confstream::RunConfstream(std::vector<std::string>(argv + 1, argv + argc), &console);
}
