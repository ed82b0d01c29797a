// Who wants to know when there is something new.

#ifndef CONFSTREAM_SERVER_FANOUT_SUBSCRIBER_SET_H_
#define CONFSTREAM_SERVER_FANOUT_SUBSCRIBER_SET_H_

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"

namespace confstream {

// Called on any thread, without any lock held.
class Subscriber {
 public:
  virtual ~Subscriber() = default;
  // Must not block. May be called without need.
  virtual void Wake() = 0;
  // Those with equal numbers share a connection. Always the same.
  virtual uint64_t connection() const { return 0; }
};

// Keeps those of a connection together: what is written to one in a row leaves in fewer packets,
// and finds more in the processor's caches. Thread-compatible: the lock of whoever has it guards
// it.
class SubscriberSet {
 public:
  void Add(const std::shared_ptr<Subscriber>& subscriber) {
    subscribers_[PlaceOf(subscriber.get())] = subscriber;
  }
  void Remove(const Subscriber* subscriber) { subscribers_.erase(PlaceOf(subscriber)); }
  bool empty() const { return subscribers_.empty(); }

  // Those that still live. To be woken, and let go, without the lock: it may be their end.
  std::vector<std::shared_ptr<Subscriber>> Living() const {
    std::vector<std::shared_ptr<Subscriber>> living;
    living.reserve(subscribers_.size());
    for (const auto& [place, subscriber] : subscribers_) {
      if (auto alive = subscriber.lock()) living.push_back(std::move(alive));
    }
    return living;
  }

 private:
  using Place = std::pair<uint64_t, const Subscriber*>;

  static Place PlaceOf(const Subscriber* subscriber) {
    return {subscriber->connection(), subscriber};
  }

  absl::btree_map<Place, std::weak_ptr<Subscriber>> subscribers_;
};

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_FANOUT_SUBSCRIBER_SET_H_
