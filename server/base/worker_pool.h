// A few threads that take work first in, first out, or when its time has come.

#ifndef CONFSTREAM_SERVER_BASE_WORKER_POOL_H_
#define CONFSTREAM_SERVER_BASE_WORKER_POOL_H_

#include <deque>
#include <functional>
#include <map>
#include <thread>
#include <vector>

#include "absl/time/time.h"
#include "server/base/clock.h"
#include "server/base/mutex.h"

namespace confstream {

// A lane for work that may take long: what is slow in one pool delays nothing in another.
// Thread-safe.
class WorkerPool {
 public:
  explicit WorkerPool(int threads);
  ~WorkerPool();
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  // Drops work that has not begun, and waits for what has. From then on Submit() has no effect.
  void Stop();

  // Returns at once.
  void Submit(std::function<void()> work);

  // The same for work that is due after `delay`.
  void SubmitAfter(absl::Duration delay, std::function<void()> work);

 private:
  void Run();

  const SystemClock clock_;
  Mutex mu_;
  CondVar ready_;
  std::deque<std::function<void()>> queue_ ABSL_GUARDED_BY(mu_);
  std::multimap<Instant, std::function<void()>> later_ ABSL_GUARDED_BY(mu_);
  bool stopped_ ABSL_GUARDED_BY(mu_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_BASE_WORKER_POOL_H_
