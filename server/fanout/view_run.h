// Versions in a row in which a view is the same.

#ifndef CONFSTREAM_SERVER_FANOUT_VIEW_RUN_H_
#define CONFSTREAM_SERVER_FANOUT_VIEW_RUN_H_

#include <algorithm>
#include <cstdint>
#include <optional>

#include "absl/time/time.h"
#include "server/base/mutex.h"

namespace confstream {

// Shared by all who stand at one of its versions. A stream sleeps through versions that leave its
// view alone; by its run it is known, all the same, up to where it has missed nothing. Thread-safe.
class ViewRun {
 public:
  explicit ViewRun(int64_t version) : last_version_(version) {}

  // The newest version of the run. Final once another run has begun.
  int64_t last_version() const {
    MutexLock lock(&mu_);
    return last_version_;
  }
  // `version`, newer than those before, has the same view.
  void Extend(int64_t version) {
    MutexLock lock(&mu_);
    last_version_ = std::max(last_version_, version);
  }

  // When the first version that has another view was published; unset: there is none yet.
  std::optional<absl::Time> end_time() const {
    MutexLock lock(&mu_);
    return end_time_;
  }
  void End(absl::Time publish_time) {
    MutexLock lock(&mu_);
    if (!end_time_.has_value()) end_time_ = publish_time;
  }

 private:
  mutable Mutex mu_;
  int64_t last_version_ ABSL_GUARDED_BY(mu_);
  std::optional<absl::Time> end_time_ ABSL_GUARDED_BY(mu_);
};

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_FANOUT_VIEW_RUN_H_
