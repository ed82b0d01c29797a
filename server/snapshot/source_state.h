// What the rest of the server sees of a source: what is served, and in which condition the source
// is.

#ifndef CONFSTREAM_SERVER_SNAPSHOT_SOURCE_STATE_H_
#define CONFSTREAM_SERVER_SNAPSHOT_SOURCE_STATE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "server/snapshot/pin.h"
#include "server/snapshot/retained_versions.h"
#include "server/snapshot/snapshot.h"
#include "server/snapshot/violation.h"

namespace confstream {

// As confstream.v1.SourceState documents them.
enum class SourceCondition { kServing, kDegraded, kWaiting, kDetached, kStalled };

// Whether the versions of a source are on disk.
struct HistoryStatus {
  enum State { kMemory, kRecorded, kFailing };
  State state = kMemory;
  std::string problem;           // with kFailing: what, where, and the remedy
  int64_t recorded_version = 0;  // the newest that is on disk; 0: none

  // True if a subscriber has nothing to learn from `other`: which version was recorded does not
  // count.
  bool SaysTheSameAs(const HistoryStatus& other) const {
    return state == other.state && problem == other.problem;
  }
};

// Condition of a source. Immutable once published.
struct SourceStatus {
  SourceCondition condition = SourceCondition::kWaiting;
  absl::Time since;
  std::string polling_reason;  // why changes are looked for; empty: the kernel tells of them
  std::optional<absl::Time> verified_time;  // when the mounted content was last found to be what is
                                            // served, or valid and held off by the pin
  std::vector<Violation> violations;        // sorted; at most Validator::kMaxViolations
  int64_t violations_total = 0;
  std::optional<Pin> pin;
  std::optional<PinEnd> pin_end;  // of the last one, while there is none
  HistoryStatus history;
  std::string schema_problem;  // why changed schema files are not in use; empty: they are

  // True if a subscriber has nothing to learn from `other`: times of checks do not count, and with
  // a pin's end the pin is gone.
  bool SaysTheSameAs(const SourceStatus& other) const {
    return condition == other.condition && polling_reason == other.polling_reason &&
           violations == other.violations && violations_total == other.violations_total &&
           pin == other.pin && history.SaysTheSameAs(other.history) &&
           schema_problem == other.schema_problem;
  }
};

// A source at one moment; it is known from its first state on. Immutable once published.
struct SourceState {
  std::string source;
  std::string epoch;
  std::shared_ptr<const Snapshot> snapshot;  // null: nothing valid yet
  SourceStatus status;
  std::shared_ptr<const RetainedVersions> history;  // null: none, as before the first reading
  bool sensitive = false;                           // older versions are not given out to clients
  bool required = true;  // the service is healthy only once this source holds a snapshot
};

// Takes what the publisher hands over. Implementations are thread-safe, return at once and call
// nobody back.
class SourceStateSink {
 public:
  virtual ~SourceStateSink() = default;

  // `state` is the newest of its source; calls for one source come in order.
  virtual void Update(std::shared_ptr<const SourceState> state) = 0;
};

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_SNAPSHOT_SOURCE_STATE_H_
