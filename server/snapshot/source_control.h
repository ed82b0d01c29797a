// What an operator can ask of a source: the words that the admin service and publish/ exchange.

#ifndef CONFSTREAM_SERVER_SNAPSHOT_SOURCE_CONTROL_H_
#define CONFSTREAM_SERVER_SNAPSHOT_SOURCE_CONTROL_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/snapshot/snapshot.h"
#include "server/snapshot/source_config.h"
#include "server/snapshot/source_journal.h"
#include "server/snapshot/source_state.h"
#include "server/snapshot/violation.h"

namespace confstream {

// As confstream.v1.RollbackSnapshotRequest.
struct RollbackOrder {
  std::string source;
  int64_t version = 0;
  int64_t expected_version = 0;  // 0: any
  std::string reason;
  absl::Duration expire_after = absl::InfiniteDuration();
};

// What a source is like after an operation.
struct ControlResult {
  std::shared_ptr<const SourceState> state;
  bool persisted = false;  // it is on disk
};

// What the rules of a source say of some files.
struct DryRunResult {
  std::vector<Violation> violations;  // sorted, at most Validator::kMaxViolations
  int64_t total = 0;
  Sha256 digest;  // of the files that would be part of the source
};

// No call but Reload waits for a reading; Rollback and Unpin may wait for the disk. Errors are
// those of confstream.v1.ConfigAdminService. Thread-safe.
class SourceControl {
 public:
  virtual ~SourceControl() = default;

  virtual absl::StatusOr<ControlResult> Rollback(const RollbackOrder& order) = 0;
  virtual absl::StatusOr<ControlResult> Unpin(const std::string& source) = 0;
  // Waits for a reading that began after the call.
  virtual absl::StatusOr<std::shared_ptr<const SourceState>> Reload(const std::string& source,
                                                                    absl::Duration timeout) = 0;

  // The settings of the source. Quick.
  virtual absl::StatusOr<SourceConfig> Config(const std::string& source) = 0;
  // `files` in byte order of paths.
  virtual absl::StatusOr<DryRunResult> DryRun(const std::string& source, Generation files) = 0;
  // What was seen and decided of the source lately, oldest first. Quick.
  virtual absl::StatusOr<std::vector<SourceEvent>> Events(const std::string& source) = 0;
};

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_SNAPSHOT_SOURCE_CONTROL_H_
