// The open streams.

#ifndef CONFSTREAM_SERVER_FANOUT_WATCHER_LIST_H_
#define CONFSTREAM_SERVER_FANOUT_WATCHER_LIST_H_

#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "server/base/mutex.h"
#include "server/fanout/watcher.h"

namespace confstream {

// Thread-safe.
class WatcherList {
 public:
  using Place = std::pair<std::string, std::string>;  // source and watch_id

  void Add(const std::shared_ptr<Watcher>& watcher);
  void Remove(const std::string& watch_id);

  // Null: there is none.
  std::shared_ptr<Watcher> Find(const std::string& watch_id) const;

  // At most `max_count` of those that come after `after`, in order of source and watch_id; those of
  // `source`, or all if it is empty.
  std::vector<std::shared_ptr<const Watcher>> List(const std::string& source, const Place& after,
                                                   size_t max_count) const;

 private:
  mutable Mutex mu_;
  std::map<Place, std::shared_ptr<Watcher>> in_order_ ABSL_GUARDED_BY(mu_);
  absl::flat_hash_map<std::string, std::shared_ptr<Watcher>> by_id_ ABSL_GUARDED_BY(mu_);
};

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_FANOUT_WATCHER_LIST_H_
