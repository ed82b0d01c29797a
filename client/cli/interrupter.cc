#include "client/cli/interrupter.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace confstream {

Interrupter::Interrupter() {
  sigset_t ours;
  sigemptyset(&ours);
  sigaddset(&ours, SIGINT);
  sigaddset(&ours, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &ours, &before_);
  signals_ = UniqueFd(signalfd(-1, &ours, SFD_CLOEXEC | SFD_NONBLOCK));
  stop_ = UniqueFd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
}

Interrupter::~Interrupter() {
  if (thread_.joinable()) {
    eventfd_write(stop_.get(), 1);
    thread_.join();
  }
  pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

void Interrupter::Start(int out_fd, std::function<void()> on_interrupt) {
  thread_ = std::thread(
      [this, out_fd, on_interrupt = std::move(on_interrupt)] { Loop(out_fd, on_interrupt); });
}

std::optional<int> Interrupter::signal() {
  MutexLock lock(&mu_);
  return signal_;
}

void Interrupter::Loop(int out_fd, const std::function<void()>& on_interrupt) {
  // A pipe without a reader, or a terminal that hung up, shows without being asked for.
  pollfd fds[] = {{signals_.get(), POLLIN, 0}, {stop_.get(), POLLIN, 0}, {out_fd, 0, 0}};
  while (true) {
    if (poll(fds, 3, -1) < 0) {
      if (errno == EINTR) continue;
      return;
    }
    if (fds[1].revents != 0) return;
    if (fds[2].revents != 0) {
      if ((fds[2].revents & (POLLERR | POLLHUP)) != 0) on_interrupt();
      fds[2].fd = -1;  // it would show again and again
    }
    signalfd_siginfo info{};
    if (read(signals_.get(), &info, sizeof(info)) != sizeof(info)) continue;
    const int number = static_cast<int>(info.ssi_signo);
    {
      MutexLock lock(&mu_);
      if (signal_.has_value()) _exit(128 + number);
      signal_ = number;
    }
    on_interrupt();
  }
}

}  // namespace confstream
