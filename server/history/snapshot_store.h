// The version history of one source.

#ifndef CONFSTREAM_SERVER_HISTORY_SNAPSHOT_STORE_H_
#define CONFSTREAM_SERVER_HISTORY_SNAPSHOT_STORE_H_

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "server/base/mutex.h"
#include "server/history/recorded_history.h"
#include "server/history/versioned_files.h"
#include "server/snapshot/pin.h"
#include "server/snapshot/retained_versions.h"
#include "server/snapshot/snapshot.h"
#include "server/snapshot/source_config.h"
#include "server/snapshot/source_state.h"

namespace confstream {

// A new epoch: 128 random bits as 32 hex digits.
std::string NewEpoch();

// Is told that a store has something to record. Called with the store's lock held: must only note
// it.
class RecordingRequests {
 public:
  virtual ~RecordingRequests() = default;
  virtual void RequestRecording() = 0;
};

// Gives validated generations their versions, and keeps the retained ones in memory: no call waits
// for the disk but AwaitRecorded. A recorder makes the disk equal to it (TakeUnrecorded,
// NoteRecorded, NoteFailed).
//
// A number is used only within `reserved_until`, which is on disk: whatever happens, a later
// process knows which numbers may have been used. (The first after it is always that of the content
// that such a process restores.) If the disk does not extend it in time, the source goes on upward
// in a fresh epoch, of which the disk knows nothing until it is recorded. Thread-safe.
class SnapshotStore final : public RetainedVersions {
 public:
  // How many numbers are reserved at a time.
  static constexpr int64_t kReserve = 1000;
  // So many versions of a sensitive source are retained at most, whatever its settings say: the
  // newest, and one to roll back to.
  static constexpr int64_t kMaxSensitiveVersions = 2;

  // With `requests`, which outlives the store or DetachRecorder(): what is on disk is `recorded`.
  // Without: history is in memory only, and begins with `recorded` if there is any.
  SnapshotStore(const SourceConfig& config, RecordedHistory recorded, RecordingRequests* requests);

  // The newest snapshot; null if there is none yet.
  std::shared_ptr<const Snapshot> latest() const;
  std::string epoch() const;

  // Makes `generation` the newest snapshot, under the next version. REQUIRES: it was validated,
  // `digest` is its tree digest and differs from that of latest(). One call at a time.
  std::shared_ptr<const Snapshot> Append(Generation generation, const Sha256& digest,
                                         absl::Time publish_time);
  // The same with the content of an older snapshot, held by `pin`. Both are recorded or neither: a
  // pin to one version beside the content of another would not be what anybody asked for.
  std::shared_ptr<const Snapshot> AppendRollback(const Snapshot& old, absl::Time publish_time,
                                                 Pin pin);

  std::optional<Pin> pin() const;
  void SetPin(std::optional<Pin> pin);

  // Takes over what `before`, the store of the same source while it was not sensitive, or was,
  // holds at the moment: the newest content, unless there is one already, and the pin.
  void CarryOn(const SnapshotStore& before);

  void SetRetention(const Retention& retention, absl::Time now);
  // Drops versions that have become too old.
  void DropOld(absl::Time now);

  HistoryStatus status() const;
  // Waits until everything up to this moment is on disk. False: it is not, after `timeout`; or
  // history is in memory only, the disk fails, or EndWaits() was called.
  bool AwaitRecorded(absl::Duration timeout);
  // Nobody waits for the disk any more.
  void EndWaits();

  std::shared_ptr<const Snapshot> Find(int64_t version) const override;
  std::shared_ptr<const Snapshot> FindAfter(int64_t version) const override;
  int64_t dropped_up_to() const override;
  std::vector<VersionSummary> List(int64_t before, size_t max_count) const override;

  // What the disk has not; nothing if it has everything. With `release`, the reserve ends at the
  // last number used: REQUIRES that nothing is appended any more.
  std::optional<UnrecordedHistory> TakeUnrecorded(bool release);
  // What was taken is on disk. True: status() is another than before.
  bool NoteRecorded(const UnrecordedHistory& unrecorded);
  // It is not, and why. True: status() is another than before.
  bool NoteFailed(const std::string& problem);
  // The disk has nothing any more, or not what it should: everything is to be recorded again.
  void RecordEverythingAgain();
  // From now on history is in memory only.
  void DetachRecorder();

 private:
  // Used and not recorded changes beyond this many are not listed: everything is recorded again.
  static constexpr size_t kMaxUnrecordedChanges = 65536;
  // So many snapshots that were put together are kept for the next who asks.
  static constexpr size_t kKeptSnapshots = 4;

  int64_t NextVersionLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  std::shared_ptr<const Snapshot> AppendLocked(std::vector<GenerationFile> files,
                                               const Sha256& digest, absl::Time publish_time,
                                               SnapshotOrigin origin, int64_t rolled_back_to)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Fills in the files of `next`, and counts in `summary` what changed.
  void ChangeFilesLocked(std::vector<GenerationFile> files, Snapshot* next, VersionSummary* summary)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void NoteChangeLocked(int64_t version, const std::string& path,
                        std::shared_ptr<const FileContent> content)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void RepublishLatestLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void SetRetentionLocked(const Retention& retention) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void DropOldLocked(absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void DropOldestLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void NoteWorkLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  std::shared_ptr<const Snapshot> SnapshotOfLocked(const VersionSummary& summary) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void KeepLocked(const std::shared_ptr<const Snapshot>& snapshot) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool SetStatusLocked(HistoryStatus::State state, const std::string& problem)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const std::string source_;
  const bool sensitive_;

  mutable Mutex mu_;
  CondVar recorded_;
  bool waits_ended_ ABSL_GUARDED_BY(mu_) = false;
  RecordingRequests* requests_ ABSL_GUARDED_BY(mu_);  // null: memory only
  Retention retention_ ABSL_GUARDED_BY(mu_);
  std::string epoch_ ABSL_GUARDED_BY(mu_);
  int64_t last_version_ ABSL_GUARDED_BY(mu_) = 0;  // the last number used
  std::shared_ptr<const Snapshot> latest_ ABSL_GUARDED_BY(mu_);
  VersionedFiles files_ ABSL_GUARDED_BY(mu_);
  std::deque<VersionSummary> versions_ ABSL_GUARDED_BY(mu_);  // retained, oldest first
  int64_t dropped_up_to_ ABSL_GUARDED_BY(mu_) = 0;
  std::optional<Pin> pin_ ABSL_GUARDED_BY(mu_);

  // Snapshots that somebody has, or that were asked for of late.
  mutable std::map<int64_t, std::weak_ptr<const Snapshot>> alive_ ABSL_GUARDED_BY(mu_);
  mutable std::deque<std::shared_ptr<const Snapshot>> kept_ ABSL_GUARDED_BY(mu_);

  // What the disk knows.
  bool epoch_recorded_ ABSL_GUARDED_BY(mu_) = false;
  // No number above it may be used in epoch_: the disk may know the epoch with just these numbers,
  // even if it has not said so. Unset: it cannot know it.
  std::optional<int64_t> reserved_until_ ABSL_GUARDED_BY(mu_);
  bool everything_again_ ABSL_GUARDED_BY(mu_) = false;
  std::deque<RecordedChange> changes_ ABSL_GUARDED_BY(mu_);  // since the last recording
  int64_t recorded_version_ ABSL_GUARDED_BY(mu_) = 0;
  int64_t revision_ ABSL_GUARDED_BY(mu_) = 0;  // goes up with every change
  int64_t recorded_revision_ ABSL_GUARDED_BY(mu_) = 0;
  HistoryStatus status_ ABSL_GUARDED_BY(mu_);
};

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_HISTORY_SNAPSHOT_STORE_H_
