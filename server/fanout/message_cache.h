// Encoded messages, shared by the streams that are sent them.

#ifndef CONFSTREAM_SERVER_FANOUT_MESSAGE_CACHE_H_
#define CONFSTREAM_SERVER_FANOUT_MESSAGE_CACHE_H_

#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "server/base/mutex.h"
#include "server/fanout/view_message.h"

namespace confstream {

// Keeps messages for as long as somebody holds the content that they were made of, up to a bound of
// bytes; the least recently used go first. What has gone lives on with the streams that are writing
// it, and is encoded again for others. Thread-safe.
class MessageCache {
 public:
  explicit MessageCache(int64_t max_bytes) : max_bytes_(max_bytes) {}

  // The encoded fragment `index` of `content`.
  std::shared_ptr<const std::string> Fragment(const std::shared_ptr<const ViewMessage>& content,
                                              size_t index);

  // Size of what is kept.
  int64_t bytes() const;

 private:
  using Key = std::pair<uint64_t, size_t>;  // ViewMessage::id and the fragment
  struct Entry {
    Key key;
    std::weak_ptr<const ViewMessage> content;
    std::shared_ptr<const std::string> message;
  };

  const int64_t max_bytes_;
  mutable Mutex mu_;
  std::list<Entry> recent_ ABSL_GUARDED_BY(mu_);  // most recently used first
  absl::flat_hash_map<Key, std::list<Entry>::iterator> entries_ ABSL_GUARDED_BY(mu_);
  int64_t bytes_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_FANOUT_MESSAGE_CACHE_H_
