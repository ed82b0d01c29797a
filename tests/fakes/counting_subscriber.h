// A subscriber that does nothing but count how often it is woken.

#ifndef CONFSTREAM_TESTS_FAKES_COUNTING_SUBSCRIBER_H_
#define CONFSTREAM_TESTS_FAKES_COUNTING_SUBSCRIBER_H_

#include <cstdint>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "server/base/mutex.h"
#include "server/fanout/subscriber.h"
#include "tests/fakes/lane_thread.h"

namespace confstream {

// Thread-safe.
class CountingSubscriber final : public Subscriber {
 public:
  void Wake() override {
    MutexLock lock(&mu_);
    ++wakes_;
    woken_.NotifyAll();
  }

  int64_t wakes() const {
    MutexLock lock(&mu_);
    return wakes_;
  }
  Lane* lane() const override { return &TestLane(); }
  uint64_t connection() const override { return 0; }

  // Waits until it was woken `count` times in all. False: not within half a minute.
  bool AwaitWakes(int64_t count) {
    const absl::Time deadline = absl::Now() + absl::Seconds(30);
    MutexLock lock(&mu_);
    while (wakes_ < count) {
      const absl::Duration left = deadline - absl::Now();
      if (left <= absl::ZeroDuration()) return false;
      woken_.WaitFor(&mu_, left);
    }
    return true;
  }

 private:
  mutable Mutex mu_;
  CondVar woken_;
  int64_t wakes_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace confstream

#endif  // CONFSTREAM_TESTS_FAKES_COUNTING_SUBSCRIBER_H_
