// Whom to tell that there is something new.

#ifndef CONFSTREAM_SERVER_FANOUT_AUDIENCE_H_
#define CONFSTREAM_SERVER_FANOUT_AUDIENCE_H_

#include <cstdint>
#include <memory>
#include <tuple>

#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_set.h"
#include "server/base/mutex.h"
#include "server/fanout/subscriber.h"

namespace confstream {

// Telling takes as long as posting to each lane, however many live there. Those of a connection are
// woken in a row: what is written to one leaves in fewer packets then, and finds more in the
// processor's caches. Thread-safe.
class Audience : public std::enable_shared_from_this<Audience> {
 public:
  // `subscriber` does not change its lane and connection from now on.
  void Subscribe(const std::shared_ptr<Subscriber>& subscriber);
  void Unsubscribe(const Subscriber* subscriber);
  bool empty() const;

  // Everybody is woken soon. Calls that come before that are one.
  void Notify();

 private:
  using Place = std::tuple<Lane*, uint64_t, const Subscriber*>;  // lane and connection first

  static Place PlaceOf(const Subscriber* subscriber);
  void WakeOn(Lane* lane);

  mutable Mutex mu_;
  absl::btree_map<Place, std::weak_ptr<Subscriber>> subscribers_ ABSL_GUARDED_BY(mu_);
  absl::flat_hash_set<Lane*> told_ ABSL_GUARDED_BY(mu_);  // lanes that will wake their own
};

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_FANOUT_AUDIENCE_H_
