// The program `confstream` itself, for tests of what only a process has.

#ifndef CONFSTREAM_TESTS_FAKES_CLIENT_PROGRAM_H_
#define CONFSTREAM_TESTS_FAKES_CLIENT_PROGRAM_H_

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "server/base/clock.h"
#include "server/base/unique_fd.h"

namespace confstream {

// Runs with its output on a pipe, standard error too if asked for. Killed if it outlives the test.
// Thread-compatible.
class ClientProgram {
 public:
  enum class Errors { kInherited, kInOutput };

  explicit ClientProgram(std::vector<std::string> args, Errors errors = Errors::kInherited) {
    int out[2];
    EXPECT_EQ(pipe2(out, O_CLOEXEC), 0);
    out_ = UniqueFd(out[0]);
    const UniqueFd theirs(out[1]);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, theirs.get(), STDOUT_FILENO);
    if (errors == Errors::kInOutput) {
      posix_spawn_file_actions_adddup2(&actions, theirs.get(), STDERR_FILENO);
    }
    args.insert(args.begin(), "confstream");
    std::vector<char*> argv;
    argv.reserve(args.size() + 1);
    for (std::string& arg : args) argv.push_back(arg.data());
    argv.push_back(nullptr);
    EXPECT_EQ(posix_spawn(&pid_, CONFSTREAM_COMMAND, &actions, nullptr, argv.data(), environ), 0);
    posix_spawn_file_actions_destroy(&actions);
  }
  ~ClientProgram() {
    if (pid_ > 0) {
      kill(pid_, SIGKILL);
      waitpid(pid_, nullptr, 0);
    }
  }
  ClientProgram(const ClientProgram&) = delete;
  ClientProgram& operator=(const ClientProgram&) = delete;

  // True once the output holds `text`; false if it ends or 20 s pass before.
  bool AwaitOutput(const std::string& text) {
    const Instant deadline = clock_.Now() + absl::Seconds(20);
    while (!absl::StrContains(seen_, text)) {
      if (ReadUntil(deadline) <= 0) return false;
    }
    return true;
  }
  // True once the output ends, that is, nobody can write to it any more; false if 20 s pass before.
  bool AwaitEnd() {
    const Instant deadline = clock_.Now() + absl::Seconds(20);
    ssize_t got = 1;
    while (got > 0) got = ReadUntil(deadline);
    return got == 0;
  }

  // All output that has been read.
  const std::string& seen() const { return seen_; }
  void CloseOutput() { out_.Reset(); }
  void Signal(int number) { kill(pid_, number); }
  pid_t pid() const { return pid_; }

  // The exit code; -N if signal N ended it. ctest's own limit is the deadline.
  int Wait() {
    int status = 0;
    EXPECT_EQ(waitpid(pid_, &status, 0), pid_);
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }

 private:
  // Reads some output. 0: it has ended; -1: nothing came in time.
  ssize_t ReadUntil(Instant deadline) {
    pollfd readable{out_.get(), POLLIN, 0};
    const auto left = absl::ToInt64Milliseconds(deadline - clock_.Now());
    if (left <= 0 || poll(&readable, 1, static_cast<int>(left)) <= 0) return -1;
    char buffer[4096];
    const ssize_t got = read(out_.get(), buffer, sizeof(buffer));
    if (got > 0) seen_.append(buffer, static_cast<size_t>(got));
    return got;
  }

  const SystemClock clock_{};
  UniqueFd out_;
  pid_t pid_ = -1;
  std::string seen_;
};

}  // namespace confstream

#endif  // CONFSTREAM_TESTS_FAKES_CLIENT_PROGRAM_H_
