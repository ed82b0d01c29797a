// Finds mounts that will never show a change again.

#ifndef CONFSTREAM_SERVER_SNAPSHOT_MOUNT_CHECK_H_
#define CONFSTREAM_SERVER_SNAPSHOT_MOUNT_CHECK_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "server/base/file_system.h"
#include "server/base/link_resolver.h"

namespace confstream {

// A bind mount holds what was mounted, not its name. If that is deleted or replaced on the other
// side, the mount shows the old thing for ever, an empty directory as a rule, and no event tells.
// One check belongs to one source, and remembers how it was mounted. Thread-compatible.
class MountCheck {
 public:
  // Each is OK, or empty, or says what is the matter and what the remedy is.
  struct Finding {
    absl::Status detached;   // what is mounted was deleted or replaced
    absl::Status unmounted;  // the mount that the source was read from is gone, and what is below
                             // it shows
    std::string warning;     // the mount will be detached by the next change
  };

  // `file_system` outlives the check.
  explicit MountCheck(FileSystem* file_system) : file_system_(file_system) {}

  // REQUIRES: `route` was resolved just now. What the system does not tell is taken for good.
  Finding Look(const ResolvedPath& route);

 private:
  FileSystem* const file_system_;

  std::string point_;  // of the mount that the source was found in last
  // Of a source that is a mounted file.
  int64_t file_mount_ = -1;
  std::string file_root_;
};

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_SNAPSHOT_MOUNT_CHECK_H_
