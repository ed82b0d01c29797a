// Somebody who wants to know when there is something new, and the thread that it lives on.

#ifndef CONFSTREAM_SERVER_FANOUT_SUBSCRIBER_H_
#define CONFSTREAM_SERVER_FANOUT_SUBSCRIBER_H_

#include <cstdint>
#include <functional>

namespace confstream {

// A thread that many subscribers live on, so that they need no locks.
class Lane {
 public:
  virtual ~Lane() = default;
  // Returns at once; `work` is done soon, on the thread, in the order of the calls. Dropped once
  // the lane has ended. Thread-safe.
  virtual void Post(std::function<void()> work) = 0;
};

class Subscriber {
 public:
  virtual ~Subscriber() = default;
  // Called on the lane, without any lock held. Must not block. May be called without need.
  virtual void Wake() = 0;
  // Outlives what the subscriber has subscribed to.
  virtual Lane* lane() const = 0;
  // Those with equal numbers share a connection.
  virtual uint64_t connection() const = 0;
};

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_FANOUT_SUBSCRIBER_H_
