// Decides when a source is to be read: pure, times in, decision out.

#ifndef CONFSTREAM_SERVER_WATCH_DEBOUNCER_H_
#define CONFSTREAM_SERVER_WATCH_DEBOUNCER_H_

#include <optional>
#include <set>
#include <string>

#include "absl/time/time.h"
#include "server/base/clock.h"
#include "server/base/link_resolver.h"
#include "server/snapshot/read_request.h"

namespace confstream {

// What is due for one source. A commit point is read at once. Any other change waits until nothing
// has changed for `settle` and every file that was modified was closed, but no longer than
// `max_delay` after the first change. Thread-compatible.
class Debouncer {
 public:
  struct Due {
    Instant when;
    ReadCause cause = ReadCause::kRecheck;
    std::optional<HopName> commit;
  };

  Debouncer(absl::Duration settle, absl::Duration max_delay)
      : settle_(settle), max_delay_(max_delay) {}

  // A hop was replaced atomically.
  void NoteCommit(HopName hop) {
    commit_ = std::move(hop);
    recheck_ = false;
  }
  // Something changed.
  void NoteChange(Instant now);
  // `file`, any name for it, was written to and is not closed yet; or was closed, or is gone.
  void NoteWriting(const std::string& file, Instant now);
  void NoteClosed(const std::string& file) { being_written_.erase(file); }
  // Nothing is known to have changed, but a look is wanted, at once.
  void NoteRecheck() { recheck_ = true; }

  // What is to be read and when, if anything. `when` may be past.
  std::optional<Due> Next() const;

  // When what has changed is to be read at the latest, at rest or not; unset: nothing has.
  std::optional<Due> AtLatest() const;

  // What Next() said is being read: changes from now on are another matter.
  void ReadingBegins();
  // The reading found the content changing: settles, within max_delay of the first change that led
  // to it.
  void ReadingWasUnsettled(Instant now);
  // The reading did not take place: it is due again as it was.
  void ReadingWasVoid(Instant now);
  // The reading is over.
  void ReadingEnds() { reading_.reset(); }

 private:
  struct Pending {
    Instant first;
    Instant last;
  };
  struct Reading {
    std::optional<HopName> commit;
    std::optional<Pending> pending;
    bool recheck = false;
  };

  Instant Deadline() const { return pending_->first + max_delay_; }

  const absl::Duration settle_;
  const absl::Duration max_delay_;

  std::optional<HopName> commit_;
  std::optional<Pending> pending_;
  bool recheck_ = false;
  std::set<std::string> being_written_;
  std::optional<Reading> reading_;
};

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_WATCH_DEBOUNCER_H_
