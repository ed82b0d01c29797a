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
#include "server/publish/source_log.h"
#include "server/snapshot/read_request.h"
#include "server/snapshot/snapshot_reader.h"
#include "server/snapshot/source_config.h"
#include "server/snapshot/source_control.h"
#include "server/snapshot/source_journal.h"
#include "server/snapshot/source_state.h"
#include "server/validate/schema_set.h"
#include "server/validate/validator.h"

namespace confstream {

// What all lanes of a Publisher share; outlives them.
struct LaneContext {
  const Clock* clock;
  FileSystem* file_system;
  std::vector<SourceStateSink*> sinks;  // told in order
  SourceJournals* journals;
  Logger* log;
};

// At most one reading at a time; nothing else waits for it, for it may never end. Thread-safe.
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
  // Takes the place of `before`, the same source with other settings; from then on `before` does
  // nothing, nor does a reading that is under way there.
  void Replace(SourceLane* before);
  // From now on nothing is told, and what a reading under way finds is dropped.
  void Retire();

  // The data's way: reads, validates, versions, hands over.
  ReadOutcome Publish(const ReadRequest& request, ReadAnswerSink* answers);
  // A reading is going to begin, as soon as a thread has time for it.
  void ExpectReading(uint64_t request_number);
  // The source has stalled if the reading that was asked for by that request has not ended.
  void EndPatience(uint64_t request_number);

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
    // Of the generation; unset: there was none, or a part of one.
    std::optional<Sha256> digest;
    // The generation; unset, with a digest: that of the newest snapshot.
    std::optional<Generation> generation;
    // Why the generation is but a part.
    std::vector<Violation> refused;
    // Why it cannot be served.
    std::vector<Violation> violations;
    int64_t violations_total = 0;
    bool was_read = false;
  };

  // False: the lane is retired.
  bool BeginReading(const ReadRequest& request);
  ReadOutcome EndReading(Reading reading, bool quiet);
  ReadOutcome TakeReadingLocked(Reading reading, bool quiet) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void RefuseLocked(Violation violation) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void WeighLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void PublishMountedLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // False: the pin, if any, holds off what is mounted. Otherwise there is none any more.
  bool PassesPinLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void EndPinLocked(PinEnd::Reason reason) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool PinExpiredLocked() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // From now on what is mounted need not be the newest snapshot: unpinning will ask for it.
  void HoldMountedLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  Pin PinForLocked(const RollbackOrder& order, const Sha256& replaced) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void TellLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const LaneContext& context_;
  const SourceConfig config_;
  const uint64_t incarnation_;
  const std::shared_ptr<SnapshotStore> store_;
  const SourceLog said_;

  Mutex reading_mu_;  // held for a whole reading; taken before mu_
  SnapshotReader reader_ ABSL_GUARDED_BY(reading_mu_);

  mutable Mutex mu_;
  std::shared_ptr<const SchemaSet> schemas_ ABSL_GUARDED_BY(mu_);
  Validator validator_ ABSL_GUARDED_BY(mu_);
  Mounted mounted_ ABSL_GUARDED_BY(mu_);
  // When what is mounted was last found to be what is served, or what the pin holds off.
  std::optional<absl::Time> verified_time_ ABSL_GUARDED_BY(mu_);
  std::optional<PinEnd> pin_end_ ABSL_GUARDED_BY(mu_);  // the last one
  std::string polling_reason_ ABSL_GUARDED_BY(mu_);
  std::string schema_problem_ ABSL_GUARDED_BY(mu_);
  uint64_t reading_ ABSL_GUARDED_BY(mu_) = 0;  // number of the request that is being read; 0: none
  bool stalled_ ABSL_GUARDED_BY(mu_) = false;  // that takes too long
  std::string mount_warning_ ABSL_GUARDED_BY(mu_);
  bool retired_ ABSL_GUARDED_BY(mu_) = false;
  std::shared_ptr<const SourceState> state_ ABSL_GUARDED_BY(mu_);  // what the sinks were told last
};

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_PUBLISH_SOURCE_LANE_H_
