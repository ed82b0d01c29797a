// A subscriber that holds whoever wakes it until the test lets go.

#ifndef CONFSTREAM_TESTS_FAKES_BLOCKING_SUBSCRIBER_H_
#define CONFSTREAM_TESTS_FAKES_BLOCKING_SUBSCRIBER_H_

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "server/base/mutex.h"
#include "server/fanout/subscriber.h"
#include "tests/fakes/lane_thread.h"

namespace confstream {

// Against the rule for subscribers, so that a test can show what waits for whom. Thread-safe.
class BlockingSubscriber final : public Subscriber {
 public:
  void Wake() override {
    MutexLock lock(&mu_);
    blocking_ = true;
    changed_.NotifyAll();
    while (!released_) changed_.Wait(&mu_);
  }
  Lane* lane() const override { return &TestLane(); }
  uint64_t connection() const override { return 0; }

  // Waits until somebody is held. False: nobody within half a minute.
  bool AwaitBlocking() {
    const absl::Time deadline = absl::Now() + absl::Seconds(30);
    MutexLock lock(&mu_);
    while (!blocking_) {
      const absl::Duration left = deadline - absl::Now();
      if (left <= absl::ZeroDuration()) return false;
      changed_.WaitFor(&mu_, left);
    }
    return true;
  }
  // From now on nobody is held.
  void Release() {
    MutexLock lock(&mu_);
    released_ = true;
    changed_.NotifyAll();
  }

 private:
  Mutex mu_;
  CondVar changed_;
  bool blocking_ ABSL_GUARDED_BY(mu_) = false;
  bool released_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace confstream

#endif  // CONFSTREAM_TESTS_FAKES_BLOCKING_SUBSCRIBER_H_
