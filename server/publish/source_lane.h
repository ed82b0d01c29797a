// One source on its way through the workers: what was read, what the rules and the operator say of
// it, what is served.

#ifndef CONFSTREAM_SERVER_PUBLISH_SOURCE_LANE_H_
#define CONFSTREAM_SERVER_PUBLISH_SOURCE_LANE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/base/clock.h"
#include "server/base/file_system.h"
#include "server/base/log.h"
#include "server/base/mutex.h"
#include "server/history/snapshot_store.h"
#include "server/snapshot/read_request.h"
#include "server/snapshot/snapshot_reader.h"
#include "server/snapshot/source_config.h"
#include "server/snapshot/source_control.h"
#include "server/snapshot/source_state.h"
#include "server/validate/schema_set.h"
#include "server/validate/validator.h"

namespace confstream {

// What all lanes of a Publisher share; outlives them.
struct LaneContext {
  const Clock* clock;
  FileSystem* file_system;
  std::vector<SourceStateSink*> sinks;  // told in order
  Logger* log;
};

// Its lock is held for the whole of a reading: at most one at a time, and whoever changes what is
// served waits for it. Thread-safe.
class SourceLane {
 public:
  SourceLane(const LaneContext* context, const SourceConfig& config,
             std::shared_ptr<const SchemaSet> schemas, uint64_t incarnation,
             std::shared_ptr<SnapshotStore> store);

  const SourceConfig& config() const { return config_; }
  uint64_t incarnation() const { return incarnation_; }
  const std::shared_ptr<SnapshotStore>& store() const { return store_; }

  // Tells the sinks of the source for the first time: what was restored, or that there is nothing.
  void Announce();
  // Takes the place of `before`, the same source with other settings, once a reading under way
  // there is done; from then on `before` does nothing.
  void Replace(SourceLane* before);
  // Waits for a reading under way. From then on nothing is read or told.
  void Retire();

  // The data's way: reads, validates, versions, hands over.
  ReadOutcome Publish(const ReadRequest& request, ReadAnswerSink* answers);

  // Tells the sinks again, since the history has something else to say of itself.
  void Tell();
  // Loads the schemas again if their files have changed, and judges what is mounted by them.
  void RefreshSchemas();
  // Ends a pin whose time has come.
  void EndExpiredPin();

  // As SourceControl.
  absl::StatusOr<std::shared_ptr<const SourceState>> Rollback(const RollbackOrder& order);
  absl::StatusOr<std::shared_ptr<const SourceState>> Unpin();
  DryRunResult DryRun(Generation files) const;
  std::shared_ptr<const SourceState> state() const;

 private:
  // What the last reading found.
  struct Mounted {
    // Of the generation; unset: there was none.
    std::optional<Sha256> digest;
    // The generation; unset, with a digest: that of the newest snapshot.
    std::optional<Generation> generation;
    // Why it cannot be served.
    std::vector<Violation> violations;
    int64_t violations_total = 0;
    bool was_read = false;
  };

  void RefuseLocked(std::vector<Violation> violations) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void WeighLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void PublishMountedLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // False: the pin, if any, holds off what is mounted. Otherwise there is none any more.
  bool PassesPinLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void EndPinLocked(absl::string_view why) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool PinExpiredLocked() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Adds what `old` has that limits, include and exclude do not allow any more.
  void CheckSettings(const Snapshot& old, Validator::Verdict* verdict) const;
  void TellLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void LogNewsLocked(const SourceState* before) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void LogPublished(const Snapshot& snapshot) const;

  const LaneContext& context_;
  const SourceConfig config_;
  const uint64_t incarnation_;
  const std::shared_ptr<SnapshotStore> store_;

  mutable Mutex mu_;
  std::shared_ptr<const SchemaSet> schemas_ ABSL_GUARDED_BY(mu_);
  SnapshotReader reader_ ABSL_GUARDED_BY(mu_);
  Validator validator_ ABSL_GUARDED_BY(mu_);
  Mounted mounted_ ABSL_GUARDED_BY(mu_);
  // When what is mounted was last found to be what is served.
  std::optional<absl::Time> verified_time_ ABSL_GUARDED_BY(mu_);
  bool watched_ ABSL_GUARDED_BY(mu_) = true;
  bool retired_ ABSL_GUARDED_BY(mu_) = false;
  std::shared_ptr<const SourceState> state_ ABSL_GUARDED_BY(mu_);  // what the sinks were told last
};

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_PUBLISH_SOURCE_LANE_H_
