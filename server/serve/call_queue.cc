#include "server/serve/call_queue.h"

namespace confstream {

void CallQueue::Post(std::function<void()> work) {
  MutexLock lock(&mu_);
  if (closed_) return;
  posted_.push_back(std::move(work));
  if (std::exchange(rung_, true)) return;
  // One that is due already is gRPC's way to put a tag into a queue.
  alarm_.Set(completions_.get(), gpr_time_0(GPR_CLOCK_MONOTONIC), &doorbell_);
}

void CallQueue::DoPosted(bool /*ok*/) {
  std::vector<std::function<void()>> posted;
  {
    MutexLock lock(&mu_);
    rung_ = false;
    posted.swap(posted_);
  }
  for (const auto& work : posted) work();
}

void CallQueue::DoDue() {
  if (timers_.empty()) return;
  const Instant now = clock_->Now();
  while (!timers_.empty() && timers_.begin()->first <= now) {
    const std::function<void()> work = std::move(timers_.begin()->second);
    timers_.erase(timers_.begin());
    work();
  }
}

gpr_timespec CallQueue::NextDue() const {
  if (timers_.empty() || timers_.begin()->first == Instant::Infinite()) {
    return gpr_inf_future(GPR_CLOCK_MONOTONIC);
  }
  const absl::Duration left = timers_.begin()->first - clock_->Now();
  return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                      gpr_time_from_nanos(absl::ToInt64Nanoseconds(left), GPR_TIMESPAN));
}

void CallQueue::Serve() {
  using Completions = grpc::CompletionQueue;
  void* tag = nullptr;
  bool ok = false;
  while (true) {
    DoDue();
    const Completions::NextStatus next = completions_->AsyncNext(&tag, &ok, NextDue());
    if (next == Completions::SHUTDOWN) return;
    if (next == Completions::GOT_EVENT) static_cast<CompletionTag*>(tag)->Complete(ok);
  }
}

void CallQueue::Shutdown() {
  {
    MutexLock lock(&mu_);
    if (std::exchange(closed_, true)) return;
  }
  completions_->Shutdown();
  if (thread_.joinable()) {
    thread_.join();
  } else {
    Serve();
  }
}

}  // namespace confstream
