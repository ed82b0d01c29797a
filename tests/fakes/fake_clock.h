// Time that stands still until a test moves it.

#ifndef CONFSTREAM_TESTS_FAKES_FAKE_CLOCK_H_
#define CONFSTREAM_TESTS_FAKES_FAKE_CLOCK_H_

#include "absl/time/time.h"
#include "server/base/clock.h"
#include "server/base/mutex.h"

namespace confstream {

// Begins shortly after the machine has started: whoever takes the monotonic clock's zero for "long
// ago" is found out. Nobody who waits for real time to pass notices an Advance(). Thread-safe.
class FakeClock final : public Clock {
 public:
  absl::Time WallNow() const override {
    MutexLock lock(&mu_);
    return wall_;
  }
  Instant Now() const override {
    MutexLock lock(&mu_);
    return now_;
  }

  // Moves both clocks.
  void Advance(absl::Duration duration) {
    MutexLock lock(&mu_);
    now_ = now_ + duration;
    wall_ += duration;
  }

 private:
  mutable Mutex mu_;
  Instant now_ ABSL_GUARDED_BY(mu_) = Instant::FromSinceBoot(absl::Seconds(20));
  absl::Time wall_ ABSL_GUARDED_BY(mu_) = absl::FromUnixSeconds(1'767'225'600);  // 2026-01-01
};

}  // namespace confstream

#endif  // CONFSTREAM_TESTS_FAKES_FAKE_CLOCK_H_
