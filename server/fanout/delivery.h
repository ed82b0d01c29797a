// Wakes subscribers: when their topic has news, and when a time has come.

#ifndef CONFSTREAM_SERVER_FANOUT_DELIVERY_H_
#define CONFSTREAM_SERVER_FANOUT_DELIVERY_H_

#include <deque>
#include <map>
#include <memory>
#include <thread>

#include "server/base/clock.h"
#include "server/base/mutex.h"
#include "server/fanout/view_topic.h"

namespace confstream {

// One thread, so that publishing returns at once however many there are to be told. Thread-safe.
class Delivery {
 public:
  explicit Delivery(const Clock* clock);
  // Waits for the wake-up under way; what is left is dropped.
  ~Delivery();
  Delivery(const Delivery&) = delete;
  Delivery& operator=(const Delivery&) = delete;

  // Every subscriber of the topic is woken soon.
  void Notify(std::shared_ptr<ViewTopic> topic);

  // The subscriber is woken at `when`, or soon if that is past. Each call is one more wake-up.
  void WakeAt(Instant when, std::weak_ptr<Subscriber> subscriber);

 private:
  void Run();

  const Clock* const clock_;
  Mutex mu_;
  CondVar changed_;
  bool stopped_ ABSL_GUARDED_BY(mu_) = false;
  std::deque<std::shared_ptr<ViewTopic>> topics_ ABSL_GUARDED_BY(mu_);
  std::multimap<Instant, std::weak_ptr<Subscriber>> timers_ ABSL_GUARDED_BY(mu_);
  std::thread thread_;
};

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_FANOUT_DELIVERY_H_
