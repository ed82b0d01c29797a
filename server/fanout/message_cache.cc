#include "server/fanout/message_cache.h"

namespace confstream {

std::shared_ptr<const std::string> MessageCache::Fragment(
    const std::shared_ptr<const ViewMessage>& content, size_t index) {
  const Key key(content->id(), index);
  {
    MutexLock lock(&mu_);
    const auto found = entries_.find(key);
    if (found != entries_.end()) {
      recent_.splice(recent_.begin(), recent_, found->second);
      return found->second->message;
    }
  }
  // Not under the lock: at worst two streams encode the same, and one of the two is thrown away.
  auto message = std::make_shared<const std::string>(content->EncodeFragment(index));
  MutexLock lock(&mu_);
  const auto found = entries_.find(key);
  if (found != entries_.end()) return found->second->message;
  recent_.push_front({key, content, message});
  entries_[key] = recent_.begin();
  bytes_ += static_cast<int64_t>(message->size());
  while (!recent_.empty() && (bytes_ > max_bytes_ || recent_.back().content.expired())) {
    bytes_ -= static_cast<int64_t>(recent_.back().message->size());
    entries_.erase(recent_.back().key);
    recent_.pop_back();
  }
  return message;
}

int64_t MessageCache::bytes() const {
  MutexLock lock(&mu_);
  return bytes_;
}

}  // namespace confstream
