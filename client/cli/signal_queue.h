// Signals to this process, taken one by one where it suits.

#ifndef CONFSTREAM_CLIENT_CLI_SIGNAL_QUEUE_H_
#define CONFSTREAM_CLIENT_CLI_SIGNAL_QUEUE_H_

#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <initializer_list>
#include <optional>

#include "server/base/unique_fd.h"

namespace confstream {

// While it lives its signals are blocked and wait here. Construct it before the program's other
// threads start: they inherit the blocked signals. Thread-compatible.
class SignalQueue {
 public:
  struct Signal {
    int number = 0;
    bool from_terminal = false;  // Ctrl-C: all processes in the foreground got it
  };

  SignalQueue(std::initializer_list<int> numbers) {
    sigset_t ours;
    sigemptyset(&ours);
    for (const int number : numbers) sigaddset(&ours, number);
    pthread_sigmask(SIG_BLOCK, &ours, &before_);
    fd_ = UniqueFd(signalfd(-1, &ours, SFD_CLOEXEC | SFD_NONBLOCK));
  }
  ~SignalQueue() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalQueue(const SignalQueue&) = delete;
  SignalQueue& operator=(const SignalQueue&) = delete;

  // Readable while a signal waits.
  int fd() const { return fd_.get(); }

  // The next signal, if one waits.
  std::optional<Signal> Next() {
    signalfd_siginfo info{};
    if (read(fd_.get(), &info, sizeof(info)) != sizeof(info)) return std::nullopt;
    return Signal{static_cast<int>(info.ssi_signo), info.ssi_code == SI_KERNEL};
  }

 private:
  sigset_t before_{};
  UniqueFd fd_;
};

}  // namespace confstream

#endif  // CONFSTREAM_CLIENT_CLI_SIGNAL_QUEUE_H_
