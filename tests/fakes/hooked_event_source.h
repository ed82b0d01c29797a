// inotify with a test that can do something before a watch is armed, refuse it, or send events of
// its own.

#ifndef CONFSTREAM_TESTS_FAKES_HOOKED_EVENT_SOURCE_H_
#define CONFSTREAM_TESTS_FAKES_HOOKED_EVENT_SOURCE_H_

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "server/watch/inotify_event_source.h"

namespace confstream {

// Thread-compatible.
class HookedEventSource final : public EventSource {
 public:
  // Done before each watch is armed; not OK: it is refused with that.
  std::function<absl::Status(const std::string& directory)> before_watch = [](const std::string&) {
    return absl::OkStatus();
  };
  // Come before those of inotify at the next Drain().
  std::vector<WatchEvent> extra_events;

  absl::StatusOr<WatchId> Watch(const std::string& directory, WatchInterest interest) override {
    if (absl::Status status = before_watch(directory); !status.ok()) return status;
    const auto watch = real_.Watch(directory, interest);
    if (watch.ok()) ++references_[*watch];
    return watch;
  }
  void Unwatch(WatchId watch) override {
    if (--references_[watch] == 0) references_.erase(watch);
    real_.Unwatch(watch);
  }
  int descriptor() const override { return real_.descriptor(); }
  std::vector<WatchEvent> Drain() override {
    std::vector<WatchEvent> events;
    events.swap(extra_events);
    for (WatchEvent& event : real_.Drain()) events.push_back(std::move(event));
    return events;
  }

  // How many directories are watched, whoever holds them.
  size_t watched() const { return references_.size(); }

 private:
  InotifyEventSource real_;
  std::map<WatchId, int> references_;
};

}  // namespace confstream

#endif  // CONFSTREAM_TESTS_FAKES_HOOKED_EVENT_SOURCE_H_
