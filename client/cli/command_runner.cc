#include "client/cli/command_runner.h"

#include <poll.h>
#include <signal.h>

#include <algorithm>
#include <climits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "client/cli/display.h"
#include "client/cli/exit_code.h"
#include "client/cli/put_files.h"

namespace confstream {
namespace {

// The last lines of what a program said, on one line.
std::string LastLines(absl::string_view text) {
  constexpr size_t kLines = 5;
  std::vector<absl::string_view> lines = absl::StrSplit(text, '\n', absl::SkipWhitespace());
  if (lines.size() > kLines) lines.erase(lines.begin(), lines.end() - kLines);
  return absl::StrJoin(lines, " | ");
}

}  // namespace

CommandRunner::CommandRunner(CommandRunnerOptions options, AtomicDirectory* directory,
                             OutcomeReporter* reporter, NewestVersion* newest, SignalQueue* signals,
                             const Console& console)
    : options_(std::move(options)),
      directory_(directory),
      reporter_(reporter),
      newest_(newest),
      signals_(signals),
      console_(console) {}

std::optional<int> CommandRunner::Run() {
  while (!Step()) Wait();
  return code_;
}

bool CommandRunner::Step() {
  TakeSignals();
  if (child_ != nullptr) {
    CopyError();
    if (const auto end = child_->TryWait(); end.has_value()) {
      if (FinishChild(*end)) return true;
    } else {
      WatchChild();
    }
  }
  // While a run is under way newer versions wait, and replace one another.
  if (!mid_run() && !stopping_) {
    if (auto snapshot = newest_->Take(); snapshot != nullptr && Apply(std::move(snapshot))) {
      return true;
    }
  }
  if (child_ != nullptr) {
    TellIfUnfollowed();
    return false;
  }
  if (stopping_) return End(kExitOk);
  return newest_->end().has_value() && End(std::nullopt);
}

void CommandRunner::Wait() {
  std::vector<pollfd> fds = {{signals_->fd(), POLLIN, 0}};
  if (!mid_run() && !stopping_) fds.push_back({newest_->fd(), POLLIN, 0});
  if (child_ != nullptr) {
    fds.push_back({child_->end_fd(), POLLIN, 0});
    fds.push_back({child_->error_fd(), POLLIN, 0});
  }
  int timeout_ms = -1;
  if (over_time_at_ != Instant::Infinite()) {
    const absl::Duration left = std::max(over_time_at_ - clock_.Now(), absl::ZeroDuration());
    timeout_ms = static_cast<int>(std::min<int64_t>(
        absl::ToInt64Milliseconds(absl::Ceil(left, absl::Milliseconds(1))), INT_MAX));
  }
  poll(fds.data(), fds.size(), timeout_ms);
}

void CommandRunner::TakeSignals() {
  while (const auto signal = signals_->Next()) {
    stopping_ = true;
    // What was typed at the terminal the program has got from there.
    if (child_ != nullptr && !signal->from_terminal) child_->Signal(signal->number);
  }
}

void CommandRunner::WatchChild() {
  if (clock_.Now() < over_time_at_) return;
  child_->Signal(over_time_ ? SIGKILL : SIGTERM);
  over_time_at_ = over_time_ ? Instant::Infinite() : clock_.Now() + kGrace;
  over_time_ = true;
}

void CommandRunner::TellIfUnfollowed() {
  const std::optional<absl::Status> end = newest_->end();
  if (mid_run() || end_told_ || !end.has_value()) return;
  end_told_ = true;
  console_.Say(absl::StrCat("no more changes of ", SafeForTerminal(options_.source),
                            " will come: ", ErrorText(*end), ". The command runs on with version ",
                            snapshot_->header.version(), "; start this anew to follow again"));
}

bool CommandRunner::FinishChild(const ChildEnd& end) {
  CopyError();
  child_.reset();
  over_time_at_ = Instant::Infinite();
  if (options_.signal.has_value()) {
    // A change that came too late for it.
    if (auto pending = newest_->Take(); pending != nullptr && !stopping_) {
      snapshot_ = std::move(pending);
      Report(v1::OUTCOME_REJECTED,
             absl::StrCat("the command ended, ", end.Text(), ", before it was told"));
    }
    return End(end.ExitCode());
  }
  if (stopping_) return false;  // its end says nothing of the content
  if (end.ok()) {
    Report(v1::OUTCOME_APPLIED, "");
    return false;
  }
  std::string reason =
      over_time_ ? absl::StrCat("not done within ", absl::FormatDuration(options_.run_timeout))
                 : end.Text();
  const std::string said = LastLines(error_tail_);
  if (!said.empty()) absl::StrAppend(&reason, ": ", said);
  Report(v1::OUTCOME_REJECTED, reason);
  return false;
}

bool CommandRunner::Apply(std::shared_ptr<const ReceivedSnapshot> snapshot) {
  const bool same = snapshot_ != nullptr && snapshot_->view_digest == snapshot->view_digest;
  snapshot_ = std::move(snapshot);
  if (same) {  // a stream that was begun anew repeats what is known
    reporter_->Report(snapshot_->header, outcome_, reason_).IgnoreError();
    return false;
  }
  if (const auto put = PutFiles(*snapshot_, options_.allow_empty, directory_); !put.ok()) {
    Report(v1::OUTCOME_REJECTED, put.status().message());
    return false;
  }
  if (child_ == nullptr) return StartChild();
  child_->Signal(*options_.signal);
  Report(v1::OUTCOME_APPLIED, "");
  return false;
}

bool CommandRunner::StartChild() {
  auto child = ChildProcess::Start(
      options_.command, {absl::StrCat("CONFSTREAM_SOURCE=", options_.source),
                         absl::StrCat("CONFSTREAM_VERSION=", snapshot_->header.version()),
                         absl::StrCat("CONFSTREAM_DIR=", directory_->path())});
  if (!child.ok()) {
    Report(v1::OUTCOME_REJECTED, child.status().message());
    return End(absl::IsNotFound(child.status()) ? kExitNoCommand : kExitCannotRun);
  }
  child_ = *std::move(child);
  error_tail_.clear();
  over_time_ = false;
  if (options_.signal.has_value()) {
    Report(v1::OUTCOME_APPLIED, "");
  } else if (options_.run_timeout != absl::InfiniteDuration()) {
    over_time_at_ = clock_.Now() + options_.run_timeout;
  }
  return false;
}

void CommandRunner::CopyError() {
  const std::string text = child_->ReadError();
  if (text.empty()) return;
  *console_.err << text << std::flush;
  error_tail_ += text;
  if (error_tail_.size() > kTailBytes) error_tail_.erase(0, error_tail_.size() - kTailBytes);
}

void CommandRunner::Report(v1::Outcome outcome, absl::string_view reason) {
  outcome_ = outcome;
  reason_ = std::string(reason);
  if (outcome == v1::OUTCOME_REJECTED) {
    console_.Say(absl::StrCat("version ", snapshot_->header.version(), " of ",
                              SafeForTerminal(options_.source),
                              " rejected: ", SafeForTerminal(reason)));
  }
  const absl::Status told = reporter_->Report(snapshot_->header, outcome, reason);
  if (!told.ok()) {
    console_.Say(absl::StrCat("could not report the outcome to the server: ", ErrorText(told)));
  }
}

bool CommandRunner::End(std::optional<int> code) {
  code_ = code;
  return true;
}

}  // namespace confstream
