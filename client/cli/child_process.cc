#include "client/cli/child_process.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "client/cli/signal_name.h"

namespace confstream {
namespace {

// The environment of this process with `ours` over it.
std::vector<std::string> Environment(const std::vector<std::string>& ours) {
  std::vector<std::string> all = ours;
  const auto is_ours = [&ours](absl::string_view variable) {
    const absl::string_view name = variable.substr(0, variable.find('=') + 1);
    return std::any_of(ours.begin(), ours.end(),
                       [name](const std::string& our) { return absl::StartsWith(our, name); });
  };
  for (char** variable = environ; *variable != nullptr; ++variable) {
    if (!is_ours(*variable)) all.emplace_back(*variable);
  }
  return all;
}

std::vector<char*> Pointers(std::vector<std::string>* texts) {
  std::vector<char*> pointers;
  pointers.reserve(texts->size() + 1);
  for (std::string& text : *texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

// posix_spawnp with standard error into `error_pipe`, all signals unblocked and by default.
int Spawn(std::vector<std::string> command, const std::vector<std::string>& environment,
          int error_pipe, pid_t* pid) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, error_pipe, STDERR_FILENO);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t signals;
  sigemptyset(&signals);
  posix_spawnattr_setsigmask(&attributes, &signals);
  sigfillset(&signals);
  posix_spawnattr_setsigdefault(&attributes, &signals);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  std::vector<std::string> variables = Environment(environment);
  const int error = posix_spawnp(pid, command.front().c_str(), &actions, &attributes,
                                 Pointers(&command).data(), Pointers(&variables).data());
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  return error;
}

}  // namespace

std::string ChildEnd::Text() const {
  return by_signal ? absl::StrCat("signal ", SignalName(number))
                   : absl::StrCat("exit code ", number);
}

absl::StatusOr<std::unique_ptr<ChildProcess>> ChildProcess::Start(
    const std::vector<std::string>& command, const std::vector<std::string>& environment) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return absl::ErrnoToStatus(errno, "cannot make a pipe");
  UniqueFd ours(ends[0]);
  const UniqueFd theirs(ends[1]);
  if (fcntl(ours.get(), F_SETFL, O_NONBLOCK) != 0) return absl::ErrnoToStatus(errno, "fcntl");
  pid_t pid = -1;
  if (const int error = Spawn(command, environment, theirs.get(), &pid); error != 0) {
    return absl::ErrnoToStatus(error, absl::StrCat("cannot run `", command.front(), "`"));
  }
  // It cannot be another process: nobody but this object will reap it. By number, since glibc 2.36
  // declares the function for C only.
  UniqueFd process(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  if (!process.valid()) {
    const int error = errno;
    kill(pid, SIGKILL);
    waitpid(pid, nullptr, 0);
    return absl::ErrnoToStatus(error, "pidfd_open, which needs Linux 5.3 or newer");
  }
  return std::unique_ptr<ChildProcess>(new ChildProcess(pid, std::move(process), std::move(ours)));
}

ChildProcess::~ChildProcess() {
  if (end_.has_value()) return;
  kill(pid_, SIGKILL);
  while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

std::string ChildProcess::ReadError() {
  std::string text;
  char buffer[4096];
  while (error_.valid()) {
    const ssize_t got = read(error_.get(), buffer, sizeof(buffer));
    if (got > 0) {
      text.append(buffer, static_cast<size_t>(got));
    } else if (got == 0 || errno != EINTR) {
      if (got == 0 || errno != EAGAIN) error_.Reset();
      break;
    }
    if (text.size() >= size_t{1} << 20) break;  // the rest is for the next call
  }
  return text;
}

void ChildProcess::Signal(int number) {
  if (!end_.has_value()) kill(pid_, number);
}

std::optional<ChildEnd> ChildProcess::TryWait() {
  int status = 0;
  if (!end_.has_value() && waitpid(pid_, &status, WNOHANG) == pid_) {
    end_ = WIFSIGNALED(status) ? ChildEnd{true, WTERMSIG(status)}
                               : ChildEnd{false, WEXITSTATUS(status)};
  }
  return end_;
}

}  // namespace confstream
