// The histories of all sources, and their way to the disk.

#ifndef CONFSTREAM_SERVER_HISTORY_HISTORY_H_
#define CONFSTREAM_SERVER_HISTORY_HISTORY_H_

#include <sys/types.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/base/clock.h"
#include "server/base/log.h"
#include "server/base/mutex.h"
#include "server/base/unique_fd.h"
#include "server/history/history_database.h"
#include "server/history/snapshot_store.h"
#include "server/snapshot/source_config.h"

namespace confstream {

// Wants to know what history has to say of itself.
class HistoryObserver {
 public:
  virtual ~HistoryObserver() = default;
  // The store's status() is another than before. Called on the recording thread, without
  // any lock held.
  virtual void HistoryChanged(const std::string& source) = 0;
};

// Owns the state directory: `lock`, held exclusively, and `history.db`. One thread, the recorder,
// makes the database equal to the stores, whenever they have something new; what fails is tried
// again. A damaged database is set aside, one of somebody else is left alone. Thread-safe.
class History final : public RecordingRequests {
 public:
  // With an empty `state_dir`, history is in memory. FAILED_PRECONDITION: another process holds the
  // directory. Whatever else is wrong with it is said by the status of each source, and tried
  // again.
  static absl::StatusOr<std::unique_ptr<History>> Open(const std::string& state_dir,
                                                       const Clock* clock, Logger* log);
  ~History() override;

  // Null: nobody. Waits for a call under way.
  void SetObserver(HistoryObserver* observer);

  // The store of a source: what is recorded of it, or a new one; for a source that is known, its
  // store, with the retention of `config`. Reads and writes the disk.
  std::shared_ptr<SnapshotStore> Source(const SourceConfig& config);

  // Records what is not recorded yet, if the disk works, and gives back numbers that were not used.
  // From then on history is in memory. REQUIRES: nobody appends to a store any more.
  void Close();

  void RequestRecording() override;

 private:
  struct Known {
    std::shared_ptr<SnapshotStore> store;
    bool sensitive = false;
  };

  History(std::string state_dir, const Clock* clock, Logger* log);

  absl::Status LockDirectory() ABSL_EXCLUSIVE_LOCKS_REQUIRED(disk_mu_);
  // Opens the database if it is not open, or not the file at `path_` any more. `at_start`: an older
  // one is wanted; later it is set aside unless it is `file_`, since the sources have begun other
  // histories.
  absl::Status OpenDatabase(bool at_start) ABSL_EXCLUSIVE_LOCKS_REQUIRED(disk_mu_);
  // What is on disk of the source. If it cannot be read, the database is set aside and another
  // begun.
  absl::StatusOr<RecordedHistory> Read(const std::string& source)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(disk_mu_);
  void BeginAnew(bool corrupt) ABSL_EXCLUSIVE_LOCKS_REQUIRED(disk_mu_);
  // What a store of the source begins with, its numbers reserved.
  RecordedHistory Load(const SourceConfig& config) ABSL_EXCLUSIVE_LOCKS_REQUIRED(disk_mu_);
  absl::Status Record(const std::string& name, SnapshotStore* store, bool release)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(disk_mu_);
  void RecordEverythingAgain();
  void TellObserver(const std::string& name);
  // Closes the database and renames it, with what belongs to it, to history.db.`why`-TIME, which is
  // returned.
  absl::StatusOr<std::string> SetAside(const std::string& why)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(disk_mu_);
  std::string ProblemOf(const absl::Status& status) const;
  void Run();
  // True: everything is recorded.
  bool RecordAll();
  std::map<std::string, Known> Sources() const;

  const std::string state_dir_;
  const std::string path_;
  const Clock* const clock_;
  Logger* const log_;

  // Held while the disk is read or written. Lock order: disk_mu_, then mu_ or a store's.
  Mutex disk_mu_;
  UniqueFd lock_ ABSL_GUARDED_BY(disk_mu_);
  std::unique_ptr<HistoryDatabase> database_ ABSL_GUARDED_BY(disk_mu_);  // null: not open
  // As it was at the start, until it can be written. Null: it cannot be read, or need not be.
  std::unique_ptr<HistoryDatabase> readable_ ABSL_GUARDED_BY(disk_mu_);
  // An earlier database, one source of which could not be read: the others may.
  std::optional<std::string> set_aside_ ABSL_GUARDED_BY(disk_mu_);
  // Of database_, or of readable_ if it was opened with the lock held, so that nobody else has
  // written to it since: the sources go on with it.
  std::optional<std::pair<dev_t, ino_t>> file_ ABSL_GUARDED_BY(disk_mu_);

  Mutex observer_mu_;
  HistoryObserver* observer_ ABSL_GUARDED_BY(observer_mu_) = nullptr;

  mutable Mutex mu_;
  CondVar work_;
  bool has_work_ ABSL_GUARDED_BY(mu_) = false;
  bool stopped_ ABSL_GUARDED_BY(mu_) = false;
  std::map<std::string, Known> sources_ ABSL_GUARDED_BY(mu_);
  std::thread recorder_;
};

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_HISTORY_HISTORY_H_
