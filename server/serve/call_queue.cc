#include "server/serve/call_queue.h"

#include <utility>

namespace confstream {

void CallQueue::Post(std::shared_ptr<Guest> guest) {
  MutexLock lock(&mu_);
  if (closed_) return;
  guests_.push_back(std::move(guest));
  if (std::exchange(rung_, true)) return;
  // One that is due already is gRPC's way to put a tag into a queue.
  alarm_.Set(completions_.get(), gpr_time_0(GPR_CLOCK_MONOTONIC), &doorbell_);
}

void CallQueue::RunGuests(bool /*ok*/) {
  std::vector<std::shared_ptr<Guest>> guests;
  {
    MutexLock lock(&mu_);
    rung_ = false;
    guests.swap(guests_);
  }
  for (const auto& guest : guests) guest->Run();
}

void CallQueue::Serve() {
  void* tag = nullptr;
  bool ok = false;
  while (completions_->Next(&tag, &ok)) static_cast<CompletionTag*>(tag)->Complete(ok);
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
