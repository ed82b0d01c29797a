// Things that are made once and shared by whoever needs them.

#ifndef CONFSTREAM_SERVER_FANOUT_SHARED_CACHE_H_
#define CONFSTREAM_SERVER_FANOUT_SHARED_CACHE_H_

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <utility>

#include "server/base/mutex.h"

namespace confstream {

// Finds what somebody still holds, and holds the `kept` most recently used ones itself. What is
// made should depend on its key only: whoever comes second gets what the first has made.
// Thread-safe.
template <typename Key, typename Thing>
class SharedCache {
 public:
  explicit SharedCache(size_t kept) : kept_(kept) {}

  // Null: there is none.
  std::shared_ptr<const Thing> Find(const Key& key) {
    MutexLock lock(&mu_);
    const auto found = living_.find(key);
    std::shared_ptr<const Thing> thing = found == living_.end() ? nullptr : found->second.lock();
    if (thing != nullptr) KeepLocked(thing);
    return thing;
  }

  // Adds what was made without the lock, and returns it; or what was added meanwhile.
  std::shared_ptr<const Thing> Add(const Key& key, std::shared_ptr<const Thing> thing) {
    MutexLock lock(&mu_);
    for (auto it = living_.begin(); it != living_.end();) {
      it = it->second.expired() ? living_.erase(it) : std::next(it);
    }
    const auto [it, added] = living_.emplace(key, thing);
    if (!added) {
      if (auto other = it->second.lock()) thing = std::move(other);
      it->second = thing;
    }
    KeepLocked(thing);
    return thing;
  }

 private:
  void KeepLocked(const std::shared_ptr<const Thing>& thing) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    const auto found = std::find(recent_.begin(), recent_.end(), thing);
    if (found != recent_.end()) recent_.erase(found);
    recent_.push_front(thing);
    if (recent_.size() > kept_) recent_.pop_back();
  }

  const size_t kept_;
  Mutex mu_;
  std::map<Key, std::weak_ptr<const Thing>> living_ ABSL_GUARDED_BY(mu_);
  std::deque<std::shared_ptr<const Thing>> recent_ ABSL_GUARDED_BY(mu_);  // last used first
};

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_FANOUT_SHARED_CACHE_H_
