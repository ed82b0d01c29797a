// The heart of `exec`: brings each version to a program, and waits for that.

#ifndef CONFSTREAM_CLIENT_CLI_COMMAND_RUNNER_H_
#define CONFSTREAM_CLIENT_CLI_COMMAND_RUNNER_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "client/cli/child_process.h"
#include "client/cli/console.h"
#include "client/cli/newest_version.h"
#include "client/cli/signal_queue.h"
#include "client/cpp/atomic_directory.h"
#include "client/cpp/outcome_reporter.h"
#include "server/base/clock.h"

namespace confstream {

struct CommandRunnerOptions {
  std::string source;
  std::vector<std::string> command;  // one word at least
  bool allow_empty = false;          // as PutFiles
  std::optional<int> signal;         // set: started once, and signalled on each change
  absl::Duration run_timeout = absl::InfiniteDuration();  // of one run; not with `signal`
};

// Everything happens on the thread in Run, which waits for four things: signals, a new version, the
// program's standard error, its end. Thread-compatible.
class CommandRunner {
 public:
  // A run that is over time gets SIGTERM, and after this time SIGKILL.
  static constexpr absl::Duration kGrace = absl::Seconds(5);
  // What is kept of a program's standard error, for the reason of a rejection.
  static constexpr size_t kTailBytes = 800;

  // All of them outlive the runner.
  CommandRunner(CommandRunnerOptions options, AtomicDirectory* directory, OutcomeReporter* reporter,
                NewestVersion* newest, SignalQueue* signals, const Console& console);

  // Works until a signal ends it (kExitOk, or the program's exit code with `signal`), the program
  // cannot be started (126, 127), the program that is signalled ends (its exit code), or the watch
  // has ended and there is nothing left to do (nullopt: NewestVersion::end says why).
  std::optional<int> Run();

 private:
  // What is to be done, as far as it can be done without waiting; true: Run is over, with code_.
  bool Step();
  void Wait();

  void TakeSignals();
  // Gives the program its time, and no more.
  void WatchChild();
  // Says it if the watch has ended and the program has not.
  void TellIfUnfollowed();
  bool FinishChild(const ChildEnd& end);
  bool Apply(std::shared_ptr<const ReceivedSnapshot> snapshot);
  bool StartChild();
  void CopyError();
  void Report(v1::Outcome outcome, absl::string_view reason);
  bool End(std::optional<int> code);
  bool mid_run() const { return child_ != nullptr && !options_.signal.has_value(); }

  const CommandRunnerOptions options_;
  AtomicDirectory* const directory_;
  OutcomeReporter* const reporter_;
  NewestVersion* const newest_;
  SignalQueue* const signals_;
  const Console& console_;
  const SystemClock clock_{};

  std::shared_ptr<const ReceivedSnapshot> snapshot_;  // what the program was told of last
  v1::Outcome outcome_ = v1::OUTCOME_UNSPECIFIED;     // of it
  std::string reason_;
  std::unique_ptr<ChildProcess> child_;
  std::string error_tail_;
  Instant over_time_at_ = Instant::Infinite();
  bool over_time_ = false;
  bool stopping_ = false;  // a signal came
  bool end_told_ = false;  // of the watch
  std::optional<int> code_;
};

}  // namespace confstream

#endif  // CONFSTREAM_CLIENT_CLI_COMMAND_RUNNER_H_
