// Events from inotify(7).

#ifndef CONFSTREAM_SERVER_WATCH_INOTIFY_EVENT_SOURCE_H_
#define CONFSTREAM_SERVER_WATCH_INOTIFY_EVENT_SOURCE_H_

#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "server/base/unique_fd.h"
#include "server/watch/event_source.h"

namespace confstream {

// Watches are counted by watch descriptor, since one inode has one descriptor: a second add must
// widen its mask and not replace it, and removing one path's watch must not kill another's.
// Thread-compatible.
class InotifyEventSource final : public EventSource {
 public:
  // RESOURCE_EXHAUSTED: the kernel's limit on instances (fs.inotify.max_user_instances) is reached.
  static absl::StatusOr<std::unique_ptr<InotifyEventSource>> Create();

  absl::StatusOr<WatchId> Watch(const std::string& directory, WatchInterest interest) override;
  void Unwatch(WatchId watch) override;
  int descriptor() const override { return inotify_.get(); }
  std::vector<WatchEvent> Drain() override;

 private:
  struct Held {
    int references = 0;
    bool ended = false;  // the kernel has dropped it
  };

  absl::Status Open();
  void Take(uint32_t mask, WatchId watch, const char* name, std::vector<WatchEvent>* events);

  UniqueFd inotify_;
  absl::flat_hash_map<WatchId, Held> held_;
};

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_WATCH_INOTIFY_EVENT_SOURCE_H_
