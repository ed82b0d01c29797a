// Stands for the watch thread: takes the answers of the workers, and tells them whether it was
// quiet.

#ifndef CONFSTREAM_TESTS_FAKES_RECORDING_ANSWERS_H_
#define CONFSTREAM_TESTS_FAKES_RECORDING_ANSWERS_H_

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "server/base/mutex.h"
#include "server/snapshot/read_request.h"

namespace confstream {

// Thread-safe.
class RecordingAnswers final : public ReadAnswerSink {
 public:
  void Answer(ReadAnswer answer) override {
    MutexLock lock(&mu_);
    answers_.push_back(std::move(answer));
    changed_.NotifyAll();
  }

  bool QuietSince(const ReadRequest& request) override {
    MutexLock lock(&mu_);
    ++asking_;
    changed_.NotifyAll();
    while (held_ == request.source) changed_.Wait(&mu_);
    --asking_;
    return quiet_;
  }

  void AskForReading(const std::string& source) override {
    MutexLock lock(&mu_);
    asked_for_.push_back(source);
    changed_.NotifyAll();
  }

  // Waits until a reading of `source` has been asked for. False: not within half a minute.
  bool AwaitAskedFor(const std::string& source) {
    const absl::Time deadline = absl::Now() + absl::Seconds(30);
    MutexLock lock(&mu_);
    while (std::count(asked_for_.begin(), asked_for_.end(), source) == 0) {
      const absl::Duration left = deadline - absl::Now();
      if (left <= absl::ZeroDuration()) return false;
      changed_.WaitFor(&mu_, left);
    }
    return true;
  }

  // What QuietSince() says from now on.
  void SetQuiet(bool quiet) {
    MutexLock lock(&mu_);
    quiet_ = quiet;
  }
  // From now on who asks about `source` waits; empty: nobody.
  void Hold(const std::string& source) {
    MutexLock lock(&mu_);
    held_ = source;
    changed_.NotifyAll();
  }
  // Waits until somebody waits in QuietSince(). False: nobody within half a minute.
  bool AwaitAsking() {
    const absl::Time deadline = absl::Now() + absl::Seconds(30);
    MutexLock lock(&mu_);
    while (asking_ == 0) {
      const absl::Duration left = deadline - absl::Now();
      if (left <= absl::ZeroDuration()) return false;
      changed_.WaitFor(&mu_, left);
    }
    return true;
  }

  // Waits for the `count`th answer. Its outcome is kFailed, its source empty, if it does not come
  // within half a minute.
  ReadAnswer Await(size_t count) {
    const absl::Time deadline = absl::Now() + absl::Seconds(30);
    MutexLock lock(&mu_);
    while (answers_.size() < count) {
      const absl::Duration left = deadline - absl::Now();
      if (left <= absl::ZeroDuration()) return {"", 0, ReadOutcome::kFailed};
      changed_.WaitFor(&mu_, left);
    }
    return answers_[count - 1];
  }
  size_t count() const {
    MutexLock lock(&mu_);
    return answers_.size();
  }

 private:
  mutable Mutex mu_;
  CondVar changed_;
  std::vector<ReadAnswer> answers_ ABSL_GUARDED_BY(mu_);
  std::vector<std::string> asked_for_ ABSL_GUARDED_BY(mu_);
  bool quiet_ ABSL_GUARDED_BY(mu_) = true;
  std::string held_ ABSL_GUARDED_BY(mu_);
  int asking_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace confstream

#endif  // CONFSTREAM_TESTS_FAKES_RECORDING_ANSWERS_H_
