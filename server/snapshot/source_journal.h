// What was seen and decided of a source lately: what an operator reads when a change was not picked
// up.

#ifndef CONFSTREAM_SERVER_SNAPSHOT_SOURCE_JOURNAL_H_
#define CONFSTREAM_SERVER_SNAPSHOT_SOURCE_JOURNAL_H_

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "server/base/clock.h"
#include "server/base/mutex.h"

namespace confstream {

// As confstream.v1.SourceEvent.
struct SourceEvent {
  enum Kind { kHint, kResolve, kSettle, kRead, kVerdict, kVersion };

  Kind kind = kHint;
  std::string detail;
  int64_t version = 0;  // 0: it is about none
  int64_t count = 1;    // how many times in a row
  absl::Time time;      // the last time
};

// The last events of one source. Thread-safe.
class SourceJournal {
 public:
  static constexpr size_t kMaxEvents = 512;
  static constexpr size_t kMaxDetailBytes = 300;

  explicit SourceJournal(const Clock* clock) : clock_(clock) {}

  // Adds an event, or counts it if the last one said the same. `detail` is cut if it is
  // long, and made printable.
  void Note(SourceEvent::Kind kind, absl::string_view detail, int64_t version = 0);

  // Oldest first.
  std::vector<SourceEvent> Events() const;

 private:
  const Clock* const clock_;
  mutable Mutex mu_;
  std::deque<SourceEvent> events_ ABSL_GUARDED_BY(mu_);
};

// The journals of all sources, shared by those who write them. Thread-safe.
class SourceJournals {
 public:
  explicit SourceJournals(const Clock* clock) : clock_(clock) {}

  // The journal of that name, begun if there is none. A source that is removed and added again goes
  // on with its journal.
  std::shared_ptr<SourceJournal> Of(const std::string& source);

 private:
  const Clock* const clock_;
  Mutex mu_;
  std::map<std::string, std::shared_ptr<SourceJournal>> journals_ ABSL_GUARDED_BY(mu_);
};

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_SNAPSHOT_SOURCE_JOURNAL_H_
