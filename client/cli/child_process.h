// A program that this one starts, and waits for.

#ifndef CONFSTREAM_CLIENT_CLI_CHILD_PROCESS_H_
#define CONFSTREAM_CLIENT_CLI_CHILD_PROCESS_H_

#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "server/base/unique_fd.h"

namespace confstream {

// How a program ended.
struct ChildEnd {
  bool by_signal = false;
  int number = 0;  // the signal, or the exit code

  bool ok() const { return !by_signal && number == 0; }
  // As shells have it: the exit code, or 128 and the signal.
  int ExitCode() const { return by_signal ? 128 + number : number; }
  // "exit code 3" or "signal SEGV".
  std::string Text() const;
};

// Reaped by nobody else, so that a signal cannot hit another process. Standard input
// and output are those of this process, standard error is a pipe to it; signals are neither blocked
// nor ignored there, whatever they are here. Thread-compatible.
class ChildProcess {
 public:
  // Starts `command`, found by PATH, with `environment` (NAME=VALUE) over that of this process. No
  // shell sees it. NOT_FOUND: there is no such program; else why it cannot be started. REQUIRES: a
  // command of one word at least.
  static absl::StatusOr<std::unique_ptr<ChildProcess>> Start(
      const std::vector<std::string>& command, const std::vector<std::string>& environment);

  // Kills it if it still runs.
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  // Readable once it has ended.
  int end_fd() const { return process_.get(); }
  // Its standard error, not blocking; -1 once it is closed.
  int error_fd() const { return error_.get(); }
  // What it has written to standard error since the last call, as far as it is there.
  std::string ReadError();

  // Sends a signal. Has no effect if it has ended.
  void Signal(int number);

  // How it ended, once it has.
  std::optional<ChildEnd> TryWait();

 private:
  ChildProcess(pid_t pid, UniqueFd process, UniqueFd error)
      : pid_(pid), process_(std::move(process)), error_(std::move(error)) {}

  const pid_t pid_;
  const UniqueFd process_;
  UniqueFd error_;
  std::optional<ChildEnd> end_;
};

}  // namespace confstream

#endif  // CONFSTREAM_CLIENT_CLI_CHILD_PROCESS_H_
