// Ends a command from outside: by SIGINT, SIGTERM, or because the reader of its output has left.

#ifndef CONFSTREAM_CLIENT_CLI_INTERRUPTER_H_
#define CONFSTREAM_CLIENT_CLI_INTERRUPTER_H_

#include <signal.h>

#include <functional>
#include <optional>
#include <thread>

#include "server/base/mutex.h"
#include "server/base/unique_fd.h"

namespace confstream {

// Construct it before the program's other threads start: they inherit the blocked signals, which
// then come here only. Thread-compatible.
class Interrupter {
 public:
  Interrupter();
  ~Interrupter();
  Interrupter(const Interrupter&) = delete;
  Interrupter& operator=(const Interrupter&) = delete;

  // Calls `on_interrupt`, on a thread of its own, at the first signal, or once nobody reads from
  // the pipe `out_fd` any more (-1: not looked at): a quiet watch would otherwise not notice until
  // its next change. A second signal ends the process at once. To be called once at most.
  void Start(int out_fd, std::function<void()> on_interrupt);

  // The signal that came, if any.
  std::optional<int> signal();

 private:
  void Loop(int out_fd, const std::function<void()>& on_interrupt);

  sigset_t before_{};  // the signals that were blocked before
  UniqueFd signals_;
  UniqueFd stop_;
  std::thread thread_;
  Mutex mu_;
  std::optional<int> signal_ ABSL_GUARDED_BY(mu_);
};

}  // namespace confstream

#endif  // CONFSTREAM_CLIENT_CLI_INTERRUPTER_H_
