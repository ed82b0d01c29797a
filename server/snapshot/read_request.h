// What the watch thread asks of the workers, and what they answer: the only words that watch/ and
// publish/ exchange.

#ifndef CONFSTREAM_SERVER_SNAPSHOT_READ_REQUEST_H_
#define CONFSTREAM_SERVER_SNAPSHOT_READ_REQUEST_H_

#include <cstdint>
#include <optional>
#include <set>
#include <string>

#include "server/base/link_resolver.h"

namespace confstream {

// Why a reading is asked for, and so what it must prove before its content is published.
enum class ReadCause {
  kCommit,   // a hop was replaced atomically: complete if nothing in the tree changed later
  kSettled,  // writing has stopped: complete if nothing changes during the reading
  kForced,   // writing has not stopped for max_delay: publish the best reading that can be had
  kRecheck,  // nothing is known to have changed: complete if the files have been left alone for
             // `settle`
};

// The files that may have changed since the reading before began.
struct TouchedFiles {
  bool all = false;
  std::set<std::string> paths;  // relative to the source

  // More than this many names are kept as `all`.
  static constexpr size_t kMaxPaths = 4096;

  void Add(std::string path) {
    if (!all) paths.insert(std::move(path));
    if (paths.size() > kMaxPaths) AddAll();
  }
  void AddAll() {
    all = true;
    paths.clear();
  }
};

// Asks for one reading of a source.
struct ReadRequest {
  std::string source;
  uint64_t incarnation = 0;  // tells a source from one of the same name that was removed before
  uint64_t number = 0;       // of the request
  // Where the source leads, and is watched. Unset: nobody watches it, or not to the end. If it
  // holds its target, it was found a moment ago.
  std::optional<ResolvedPath> route;
  ReadCause cause = ReadCause::kRecheck;
  std::optional<HopName> commit;  // with kCommit: the hop that was replaced
  // Why the source is polled; empty: the kernel tells of every change.
  std::string polled_because;
  bool may_hang = false;  // it is on a file system that may never answer
  TouchedFiles touched;
  bool reuse_nothing = false;  // take every file's bytes anew
  uint64_t activity = 0;       // for ActivityProbe
};

enum class ReadOutcome {
  kDone,       // what was found is published, or equals what is, or is refused and said so
  kMoved,      // the source leads elsewhere now: watch that first, then ask again
  kUnsettled,  // the content was changing: settle, then ask again
  kFailed,  // the file system refused (EACCES, EIO, too many open files): ask again after a while
};

struct ReadAnswer {
  std::string source;
  uint64_t incarnation = 0;
  ReadOutcome outcome = ReadOutcome::kDone;
};

// Takes requests; the answers come to the ReadAnswerSink. At most one request per source is in
// flight.
class ReadLane {
 public:
  virtual ~ReadLane() = default;
  // Returns at once.
  virtual void Submit(ReadRequest request) = 0;
};

// Thread-safe.
class ReadAnswerSink {
 public:
  virtual ~ReadAnswerSink() = default;
  // Returns at once.
  virtual void Answer(ReadAnswer answer) = 0;
  // True if no event has concerned the source since the request was made, those still queued in the
  // kernel included. May wait for a turn of the watch thread. False, too, when watching has
  // stopped.
  virtual bool QuietSince(const ReadRequest& request) = 0;
  // Asks for a reading of the source that reuses no bytes, whatever events have said. Returns at
  // once.
  virtual void AskForReading(const std::string& source) = 0;
};

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_SNAPSHOT_READ_REQUEST_H_
