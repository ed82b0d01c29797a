// The lane that subscribers without gRPC live on.

#ifndef CONFSTREAM_TESTS_FAKES_LANE_THREAD_H_
#define CONFSTREAM_TESTS_FAKES_LANE_THREAD_H_

#include <cstdint>
#include <functional>
#include <utility>

#include "server/base/mutex.h"
#include "server/base/worker_pool.h"
#include "server/fanout/subscriber.h"

namespace confstream {

// Thread-safe.
class LaneThread final : public Lane {
 public:
  void Post(std::function<void()> work) override { thread_.Submit(std::move(work)); }

  // Returns when all that was posted before is done.
  void Settle() {
    MutexLock lock(&mu_);
    const int64_t mine = ++asked_;
    Post([this, mine] {
      MutexLock reached(&mu_);
      reached_ = mine;
      changed_.NotifyAll();
    });
    while (reached_ < mine) changed_.Wait(&mu_);
  }

 private:
  Mutex mu_;
  CondVar changed_;
  int64_t asked_ ABSL_GUARDED_BY(mu_) = 0;
  int64_t reached_ ABSL_GUARDED_BY(mu_) = 0;  // of what was asked, that is done
  WorkerPool thread_{1};
};

// One for all subscribers of a test program.
inline LaneThread& TestLane() {
  static auto* const lane = new LaneThread;
  return *lane;
}

}  // namespace confstream

#endif  // CONFSTREAM_TESTS_FAKES_LANE_THREAD_H_
