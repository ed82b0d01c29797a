// The lane that subscribers without gRPC live on.

#ifndef CONFSTREAM_TESTS_FAKES_LANE_THREAD_H_
#define CONFSTREAM_TESTS_FAKES_LANE_THREAD_H_

#include <functional>

#include "absl/synchronization/notification.h"
#include "server/base/worker_pool.h"
#include "server/fanout/subscriber.h"

namespace confstream {

// Thread-safe.
class LaneThread final : public Lane {
 public:
  void Post(std::function<void()> work) override { thread_.Submit(std::move(work)); }

  // Returns when all that was posted before is done.
  void Settle() {
    absl::Notification done;
    Post([&done] { done.Notify(); });
    done.WaitForNotification();
  }

 private:
  WorkerPool thread_{1};
};

// One for all subscribers of a test program.
inline LaneThread& TestLane() {
  static auto* const lane = new LaneThread;
  return *lane;
}

}  // namespace confstream

#endif  // CONFSTREAM_TESTS_FAKES_LANE_THREAD_H_
