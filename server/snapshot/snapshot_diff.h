// What differs between two snapshots.

#ifndef CONFSTREAM_SERVER_SNAPSHOT_SNAPSHOT_DIFF_H_
#define CONFSTREAM_SERVER_SNAPSHOT_SNAPSHOT_DIFF_H_

#include <vector>

#include "server/snapshot/snapshot.h"

namespace confstream {

// A file that differs; points into the lists that were compared. At least one side is set.
struct FileDifference {
  const SnapshotFile* from = nullptr;  // null: added
  const SnapshotFile* to = nullptr;    // null: removed

  const std::string& path() const { return to == nullptr ? from->path : to->path; }
};

// The files that are in one list only, or have other content, in byte order of paths. Both lists
// are in that order.
std::vector<FileDifference> DiffFiles(const std::vector<SnapshotFile>& from,
                                      const std::vector<SnapshotFile>& to);

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_SNAPSHOT_SNAPSHOT_DIFF_H_
