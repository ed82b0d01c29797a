#include "server/publish/worker_pool.h"

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

void WorkerPool::Run() {
  while (true) {
    std::function<void()> work;
    {
      MutexLock lock(&mu_);
      while (!stopped_ && queue_.empty()) ready_.Wait(&mu_);
      if (stopped_) return;
      work = std::move(queue_.front());
      queue_.pop_front();
    }
    work();
  }
}

}  // namespace confstream
