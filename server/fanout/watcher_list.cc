#include "server/fanout/watcher_list.h"

#include <algorithm>

namespace confstream {

void WatcherList::Add(const std::shared_ptr<Watcher>& watcher) {
  MutexLock lock(&mu_);
  in_order_[Place(watcher->source(), watcher->watch_id())] = watcher;
  by_id_[watcher->watch_id()] = watcher;
}

void WatcherList::Remove(const std::string& watch_id) {
  MutexLock lock(&mu_);
  const auto found = by_id_.find(watch_id);
  if (found == by_id_.end()) return;
  in_order_.erase(Place(found->second->source(), watch_id));
  by_id_.erase(found);
}

std::shared_ptr<Watcher> WatcherList::Find(const std::string& watch_id) const {
  MutexLock lock(&mu_);
  const auto found = by_id_.find(watch_id);
  return found == by_id_.end() ? nullptr : found->second;
}

std::vector<std::shared_ptr<const Watcher>> WatcherList::List(const std::string& source,
                                                              const Place& after,
                                                              size_t max_count) const {
  std::vector<std::shared_ptr<const Watcher>> listed;
  MutexLock lock(&mu_);
  auto it = in_order_.upper_bound(std::max(after, Place(source, "")));
  for (; it != in_order_.end() && listed.size() < max_count; ++it) {
    if (!source.empty() && it->first.first != source) break;
    listed.push_back(it->second);
  }
  return listed;
}

}  // namespace confstream
