#include "server/base/worker_pool.h"

#include <utility>

namespace confstream {

WorkerPool::WorkerPool(int threads) {
  for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { Run(); });
}

WorkerPool::~WorkerPool() { Stop(); }

void WorkerPool::Stop() {
  {
    MutexLock lock(&mu_);
    stopped_ = true;
    queue_.clear();
    later_.clear();
    ready_.NotifyAll();
  }
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

void WorkerPool::Submit(std::function<void()> work) {
  MutexLock lock(&mu_);
  if (stopped_) return;
  queue_.push_back(std::move(work));
  ready_.NotifyOne();
}

void WorkerPool::SubmitAfter(absl::Duration delay, std::function<void()> work) {
  MutexLock lock(&mu_);
  if (stopped_) return;
  later_.emplace(clock_.Now() + delay, std::move(work));
  ready_.NotifyOne();
}

void WorkerPool::Run() {
  while (true) {
    std::function<void()> work;
    {
      MutexLock lock(&mu_);
      while (!stopped_ && queue_.empty()) {
        if (later_.empty()) {
          ready_.Wait(&mu_);
          continue;
        }
        const auto next = later_.begin();
        const absl::Duration left = next->first - clock_.Now();
        if (left <= absl::ZeroDuration()) {
          queue_.push_back(std::move(next->second));
          later_.erase(next);
        } else {
          ready_.WaitFor(&mu_, left);
        }
      }
      if (stopped_) return;
      work = std::move(queue_.front());
      queue_.pop_front();
    }
    work();
  }
}

}  // namespace confstream
