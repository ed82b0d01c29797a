// Time, as an interface, so that tests can set it.

#ifndef CONFSTREAM_SERVER_BASE_CLOCK_H_
#define CONFSTREAM_SERVER_BASE_CLOCK_H_

#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace confstream {

// A point on the monotonic clock. Never a date: only differences mean something.
class Instant {
 public:
  constexpr Instant() = default;

  static Instant Infinite() { return Instant(absl::InfiniteDuration()); }
  static Instant FromSinceBoot(absl::Duration since_boot) { return Instant(since_boot); }

  absl::Duration since_boot() const { return since_boot_; }

  friend Instant operator+(Instant a, absl::Duration d) { return Instant(a.since_boot_ + d); }
  friend Instant operator-(Instant a, absl::Duration d) { return Instant(a.since_boot_ - d); }
  friend absl::Duration operator-(Instant a, Instant b) { return a.since_boot_ - b.since_boot_; }
  friend bool operator==(Instant a, Instant b) { return a.since_boot_ == b.since_boot_; }
  friend bool operator!=(Instant a, Instant b) { return !(a == b); }
  friend bool operator<(Instant a, Instant b) { return a.since_boot_ < b.since_boot_; }
  friend bool operator>(Instant a, Instant b) { return b < a; }
  friend bool operator<=(Instant a, Instant b) { return !(b < a); }
  friend bool operator>=(Instant a, Instant b) { return !(a < b); }

 private:
  explicit constexpr Instant(absl::Duration since_boot) : since_boot_(since_boot) {}
  absl::Duration since_boot_ = absl::ZeroDuration();
};

// Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;

  // The time of day: what is shown to people, and compared with the times of files. May jump.
  virtual absl::Time WallNow() const = 0;

  // The monotonic clock: what is waited for.
  virtual Instant Now() const = 0;
};

// The clocks of the machine.
class SystemClock final : public Clock {
 public:
  absl::Time WallNow() const override { return absl::Now(); }
  Instant Now() const override;
};

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_BASE_CLOCK_H_
