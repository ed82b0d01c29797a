// The versions of a source that can still be had.

#ifndef CONFSTREAM_SERVER_SNAPSHOT_RETAINED_VERSIONS_H_
#define CONFSTREAM_SERVER_SNAPSHOT_RETAINED_VERSIONS_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "server/snapshot/snapshot.h"

namespace confstream {

// A retained version without its files.
struct VersionSummary {
  std::string epoch;
  int64_t version = 0;
  Sha256 digest;
  absl::Time publish_time;
  SnapshotOrigin origin = SnapshotOrigin::kFiles;
  int64_t rolled_back_to = 0;
  int64_t file_count = 0;
  int64_t size_bytes = 0;
  int64_t changed_file_count = 0;  // new or with other content, against the version before
  int64_t removed_file_count = 0;
};

// Reads the history of one source. Answers from memory, so calls are quick and may be made from any
// thread; what was returned stays valid whatever is dropped later. Thread-safe.
class RetainedVersions {
 public:
  virtual ~RetainedVersions() = default;

  // The snapshot of `version`; null: not retained.
  virtual std::shared_ptr<const Snapshot> Find(int64_t version) const = 0;

  // The oldest retained snapshot newer than `version`; null: there is none. With 0: the oldest of
  // all.
  virtual std::shared_ptr<const Snapshot> FindAfter(int64_t version) const = 0;

  // No retained version is at or below this one, and some version up to it may have been dropped;
  // 0: nothing was ever dropped. Whoever stands at an older version may have missed one.
  virtual int64_t dropped_up_to() const = 0;

  // At most `max_count` of the versions older than `before`, newest first.
  virtual std::vector<VersionSummary> List(int64_t before, size_t max_count) const = 0;
};

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_SNAPSHOT_RETAINED_VERSIONS_H_
