// Hints that a directory may have changed.

#ifndef CONFSTREAM_SERVER_WATCH_EVENT_SOURCE_H_
#define CONFSTREAM_SERVER_WATCH_EVENT_SOURCE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace confstream {

// Stands for a watched directory. One directory has one id, however many times and by whatever path
// it is watched.
using WatchId = int;

struct WatchEvent {
  enum Kind {
    kCreated,
    kMovedIn,
    kMovedOut,
    kDeleted,
    kModified,
    kClosedAfterWrite,
    kAttributes,
    kWatchEnded,  // the directory itself was deleted, moved or unmounted: the watch tells no more,
                  // or not for long
    kEventsLost,  // the queue overflowed: anything may have happened anywhere; watch and name mean
                  // nothing
  };

  WatchId watch = -1;
  Kind kind = kEventsLost;
  std::string name;           // the entry of the directory; empty for the directory itself
  bool is_directory = false;  // the entry is a directory
};

// What to be told about a directory's entries.
enum class WatchInterest {
  kEntries,   // which there are: created, moved, deleted
  kContents,  // also modified, closed after writing, attributes changed
};

// A supply of events. Thread-compatible: the watch thread owns it.
class EventSource {
 public:
  virtual ~EventSource() = default;

  // Watches `directory`, or adds a reference to its watch; a watch has the widest interest anyone
  // had in it. NOT_FOUND: it does not exist (any more); FAILED_PRECONDITION: it is no directory;
  // PERMISSION_DENIED: watching needs read permission; RESOURCE_EXHAUSTED: the kernel's limit is
  // reached.
  virtual absl::StatusOr<WatchId> Watch(const std::string& directory, WatchInterest interest) = 0;

  // Drops one reference; without any the watch ends, and no event names its id any more.
  virtual void Unwatch(WatchId watch) = 0;

  // Readable when events wait; for poll(2). -1: none.
  virtual int descriptor() const = 0;

  // Takes all events that wait, in order, without blocking.
  virtual std::vector<WatchEvent> Drain() = 0;
};

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_WATCH_EVENT_SOURCE_H_
