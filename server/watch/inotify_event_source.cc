#include "server/watch/inotify_event_source.h"

#include <limits.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"

namespace confstream {
namespace {

constexpr uint32_t kSelfMask = IN_DELETE_SELF | IN_MOVE_SELF;
constexpr uint32_t kEntriesMask = IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | kSelfMask;
constexpr uint32_t kContentsMask = kEntriesMask | IN_MODIFY | IN_CLOSE_WRITE | IN_ATTRIB;

struct KindOfBit {
  uint32_t bit;
  WatchEvent::Kind kind;
};
constexpr KindOfBit kKinds[] = {
    {IN_CREATE, WatchEvent::kCreated},       {IN_MOVED_TO, WatchEvent::kMovedIn},
    {IN_MOVED_FROM, WatchEvent::kMovedOut},  {IN_DELETE, WatchEvent::kDeleted},
    {IN_MODIFY, WatchEvent::kModified},      {IN_CLOSE_WRITE, WatchEvent::kClosedAfterWrite},
    {IN_ATTRIB, WatchEvent::kAttributes},    {IN_DELETE_SELF, WatchEvent::kWatchEnded},
    {IN_MOVE_SELF, WatchEvent::kWatchEnded}, {IN_UNMOUNT, WatchEvent::kWatchEnded},
    {IN_IGNORED, WatchEvent::kWatchEnded},
};

}  // namespace

absl::Status InotifyEventSource::Open() {
  if (inotify_.valid()) return absl::OkStatus();
  const int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  if (fd < 0) {
    return absl::ErrnoToStatus(errno,
                               "cannot make an inotify instance (the limit is "
                               "fs.inotify.max_user_instances, raise it by sysctl)");
  }
  inotify_.Reset(fd);
  return absl::OkStatus();
}

absl::StatusOr<WatchId> InotifyEventSource::Watch(const std::string& directory,
                                                  WatchInterest interest) {
  if (absl::Status status = Open(); !status.ok()) return status;
  const uint32_t mask = interest == WatchInterest::kContents ? kContentsMask : kEntriesMask;
  // The path is free of links when it was resolved: one that has become a link since is refused,
  // and resolved again.
  const int watch = inotify_add_watch(inotify_.get(), directory.c_str(),
                                      mask | IN_MASK_ADD | IN_ONLYDIR | IN_DONT_FOLLOW);
  if (watch < 0) {
    const int error = errno;
    if (error == ENOSPC) {
      return absl::ResourceExhaustedError(
          absl::StrCat("cannot watch ", directory,
                       ": the limit fs.inotify.max_user_watches is reached, raise it by sysctl"));
    }
    return absl::ErrnoToStatus(error, absl::StrCat("cannot watch ", directory));
  }
  Held& held = held_[watch];
  ++held.references;
  // The kernel has answered with a living watch: an end that is still queued is that of an earlier
  // one.
  held.ended = false;
  return watch;
}

void InotifyEventSource::Unwatch(WatchId watch) {
  const auto found = held_.find(watch);
  if (found == held_.end() || --found->second.references > 0) return;
  if (!found->second.ended) inotify_rm_watch(inotify_.get(), watch);
  held_.erase(found);
}

std::vector<WatchEvent> InotifyEventSource::Drain() {
  std::vector<WatchEvent> events;
  if (!inotify_.valid()) return events;
  alignas(inotify_event) char buffer[64 * 1024];
  constexpr ssize_t kRoomForAny = sizeof(inotify_event) + NAME_MAX + 1;
  while (true) {
    const ssize_t length = read(inotify_.get(), buffer, sizeof(buffer));
    if (length < 0 && errno == EINTR) continue;
    if (length <= 0) return events;  // EAGAIN: drained
    for (const char* at = buffer; at < buffer + length;) {
      const auto* event = reinterpret_cast<const inotify_event*>(at);
      Take(event->mask, event->wd, event->len > 0 ? event->name : "", &events);
      at += sizeof(inotify_event) + event->len;
    }
    // The kernel gives all that fits: there was no more.
    if (length <= static_cast<ssize_t>(sizeof(buffer)) - kRoomForAny) return events;
  }
}

void InotifyEventSource::Take(uint32_t mask, WatchId watch, const char* name,
                              std::vector<WatchEvent>* events) {
  if ((mask & IN_Q_OVERFLOW) != 0) {
    events->push_back({-1, WatchEvent::kEventsLost, "", false});
    return;
  }
  // Ordinary swaps leave thousands of events of watches that are gone.
  const auto found = held_.find(watch);
  if (found == held_.end()) return;
  if ((mask & IN_IGNORED) != 0) found->second.ended = true;
  for (const KindOfBit& kind : kKinds) {
    if ((mask & kind.bit) != 0) {
      events->push_back({watch, kind.kind, name, (mask & IN_ISDIR) != 0});
    }
  }
}

}  // namespace confstream
