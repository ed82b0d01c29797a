// How long to wait before trying again.

#ifndef CONFSTREAM_CLIENT_CPP_BACKOFF_H_
#define CONFSTREAM_CLIENT_CPP_BACKOFF_H_

#include <algorithm>

#include "absl/random/random.h"
#include "absl/time/time.h"

namespace confstream {

// Exponential backoff with full jitter: any time between nothing and a bound that doubles with each
// failure, so that clients that lost their server together do not come back together.
// Thread-compatible.
class Backoff {
 public:
  // REQUIRES: 0 < first <= most.
  Backoff(absl::Duration first, absl::Duration most) : first_(first), most_(most), bound_(first) {}

  // The time to wait after one more failure.
  absl::Duration Next() {
    const absl::Duration delay = bound_ * absl::Uniform(random_, 0.0, 1.0);
    bound_ = std::min(bound_ * 2, most_);
    return delay;
  }

  // It worked: the next failure is the first again.
  void Reset() { bound_ = first_; }

 private:
  const absl::Duration first_;
  const absl::Duration most_;
  absl::Duration bound_;
  absl::BitGen random_;
};

}  // namespace confstream

#endif  // CONFSTREAM_CLIENT_CPP_BACKOFF_H_
