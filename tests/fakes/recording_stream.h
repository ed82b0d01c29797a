// A Watch stream without a network: receives everything at once, as WatchStream would write it, and
// keeps a record.

#ifndef CONFSTREAM_TESTS_FAKES_RECORDING_STREAM_H_
#define CONFSTREAM_TESTS_FAKES_RECORDING_STREAM_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/clock.h"
#include "server/base/clock.h"
#include "server/base/mutex.h"
#include "server/fanout/watch_hub.h"
#include "tests/fakes/lane_thread.h"
#include "tests/fakes/received_message.h"

namespace confstream {

// Thread-safe. Close() it before the hub goes.
class RecordingStream final : public Subscriber,
                              public std::enable_shared_from_this<RecordingStream> {
 public:
  RecordingStream(WatchHub* hub, const Clock* clock) : hub_(hub), clock_(clock) {}

  // As WatchStream does it: news may come before the session is known.
  absl::Status Open(WatchSpec spec) {
    auto session = hub_->Open(std::move(spec), shared_from_this());
    if (!session.ok()) return session.status();
    MutexLock lock(&mu_);
    session_ = *std::move(session);
    ReceiveLocked();
    return absl::OkStatus();
  }

  void Wake() override {
    MutexLock lock(&mu_);
    ++wakes_;
    ReceiveLocked();
    changed_.NotifyAll();
  }

  Lane* lane() const override { return &TestLane(); }
  uint64_t connection() const override { return 0; }

  void Close() {
    MutexLock lock(&mu_);
    if (session_ != nullptr) hub_->Close(*session_, this);
    session_.reset();
  }

  // Waits until the stream is complete up to `version`. False: not within half a minute.
  bool AwaitVersion(int64_t version) {
    return Await([this, version]()
                     ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return version_ >= version; });
  }
  bool AwaitVersionOrEnd(int64_t version) {
    return Await([this, version]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
      return version_ >= version || end_.has_value();
    });
  }
  // Waits for the end of the stream. Unset: it did not end within half a minute.
  std::optional<absl::Status> AwaitEnd() {
    Await([this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return end_.has_value(); });
    MutexLock lock(&mu_);
    return end_;
  }

  std::vector<v1::WatchResponse> received() const {
    MutexLock lock(&mu_);
    return received_;
  }
  int64_t wakes() const {
    MutexLock lock(&mu_);
    return wakes_;
  }

 private:
  void ReceiveLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    if (session_ == nullptr) return;
    while (auto message = session_->Next(clock_->Now())) {
      received_.push_back(Receive(*message));
      if (!received_.back().more_fragments()) version_ = received_.back().header().version();
    }
    end_ = session_->end();
  }

  bool Await(const std::function<bool()>& condition) {
    const absl::Time deadline = absl::Now() + absl::Seconds(30);
    MutexLock lock(&mu_);
    while (!condition()) {
      const absl::Duration left = deadline - absl::Now();
      if (left <= absl::ZeroDuration()) return false;
      changed_.WaitFor(&mu_, left);
    }
    return true;
  }

  WatchHub* const hub_;
  const Clock* const clock_;

  mutable Mutex mu_;
  CondVar changed_;
  std::unique_ptr<WatchSession> session_ ABSL_GUARDED_BY(mu_);
  std::vector<v1::WatchResponse> received_ ABSL_GUARDED_BY(mu_);
  std::optional<absl::Status> end_ ABSL_GUARDED_BY(mu_);
  int64_t version_ ABSL_GUARDED_BY(mu_) = 0;
  int64_t wakes_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace confstream

#endif  // CONFSTREAM_TESTS_FAKES_RECORDING_STREAM_H_
