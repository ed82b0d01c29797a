#include "server/fanout/audience.h"

#include <limits>
#include <utility>
#include <vector>

namespace confstream {

Audience::Place Audience::PlaceOf(const Subscriber* subscriber) {
  return {subscriber->lane(), subscriber->connection(), subscriber};
}

void Audience::Subscribe(const std::shared_ptr<Subscriber>& subscriber) {
  MutexLock lock(&mu_);
  subscribers_[PlaceOf(subscriber.get())] = subscriber;
}

void Audience::Unsubscribe(const Subscriber* subscriber) {
  MutexLock lock(&mu_);
  subscribers_.erase(PlaceOf(subscriber));
}

bool Audience::empty() const {
  MutexLock lock(&mu_);
  return subscribers_.empty();
}

void Audience::Notify() {
  // Under the lock: a lane may end as soon as none of those here live on it.
  MutexLock lock(&mu_);
  auto first = subscribers_.begin();
  while (first != subscribers_.end()) {
    Lane* const lane = std::get<Lane*>(first->first);
    if (told_.insert(lane).second) {
      lane->Post([self = shared_from_this(), lane] { self->WakeOn(lane); });
    }
    first = subscribers_.upper_bound({lane, std::numeric_limits<uint64_t>::max(),
                                      reinterpret_cast<const Subscriber*>(UINTPTR_MAX)});
  }
}

void Audience::WakeOn(Lane* lane) {
  std::vector<std::shared_ptr<Subscriber>> living;
  {
    MutexLock lock(&mu_);
    told_.erase(lane);
    living.reserve(subscribers_.size());
    for (auto i = subscribers_.lower_bound({lane, 0, nullptr});
         i != subscribers_.end() && std::get<Lane*>(i->first) == lane; ++i) {
      if (auto alive = i->second.lock()) living.push_back(std::move(alive));
    }
  }
  for (const auto& subscriber : living) subscriber->Wake();
}

}  // namespace confstream
