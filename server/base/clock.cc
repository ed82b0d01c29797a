#include "server/base/clock.h"

#include <time.h>

namespace confstream {

Instant SystemClock::Now() const {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return Instant::FromSinceBoot(absl::DurationFromTimespec(now));
}

}  // namespace confstream
