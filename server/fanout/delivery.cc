#include "server/fanout/delivery.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace confstream {

Delivery::Delivery(const Clock* clock) : clock_(clock), thread_([this] { Run(); }) {}

Delivery::~Delivery() {
  {
    MutexLock lock(&mu_);
    stopped_ = true;
    changed_.NotifyAll();
  }
  thread_.join();
}

void Delivery::Notify(std::shared_ptr<ViewTopic> topic) {
  MutexLock lock(&mu_);
  // A topic that waits already will be delivered as it is by then.
  if (std::find(topics_.begin(), topics_.end(), topic) != topics_.end()) return;
  topics_.push_back(std::move(topic));
  changed_.NotifyOne();
}

void Delivery::WakeAt(Instant when, std::weak_ptr<Subscriber> subscriber) {
  MutexLock lock(&mu_);
  const auto added = timers_.emplace(when, std::move(subscriber));
  if (added == timers_.begin()) changed_.NotifyOne();
}

void Delivery::Run() {
  while (true) {
    std::vector<std::shared_ptr<Subscriber>> due;
    std::shared_ptr<ViewTopic> topic;
    {
      MutexLock lock(&mu_);
      while (!stopped_ && topics_.empty() &&
             (timers_.empty() || timers_.begin()->first > clock_->Now())) {
        changed_.WaitFor(&mu_, timers_.empty() ? absl::InfiniteDuration()
                                               : timers_.begin()->first - clock_->Now());
      }
      if (stopped_) return;
      const Instant now = clock_->Now();
      while (!timers_.empty() && timers_.begin()->first <= now) {
        if (auto alive = timers_.begin()->second.lock()) due.push_back(std::move(alive));
        timers_.erase(timers_.begin());
      }
      if (!topics_.empty()) {
        topic = std::move(topics_.front());
        topics_.pop_front();
      }
    }
    for (const auto& subscriber : due) subscriber->Wake();
    if (topic == nullptr) continue;
    for (const auto& subscriber : topic->Subscribers()) subscriber->Wake();
  }
}

}  // namespace confstream
