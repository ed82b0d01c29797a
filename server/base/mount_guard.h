// Keeps whoever must never wait away from file systems that may hang.

#ifndef CONFSTREAM_SERVER_BASE_MOUNT_GUARD_H_
#define CONFSTREAM_SERVER_BASE_MOUNT_GUARD_H_

#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "server/base/mount_table.h"

namespace confstream {

// Knows by name, without touching anything, what is mounted where, and where a file system is
// mounted that is not known to be local: a dead NFS or FUSE server blocks even lstat(2). Immutable.
class MountGuard {
 public:
  // Forbids nothing.
  MountGuard() = default;
  explicit MountGuard(const MountTable& mounts);

  // UNAVAILABLE, naming the mount: `path` is where such a file system begins. Whoever asks at each
  // component of a walk never enters one. `path` is absolute and free of links.
  absl::Status MayTouch(const std::string& path) const;

  // True if something is mounted at `path`.
  bool IsMountPoint(const std::string& path) const { return points_.contains(path); }

 private:
  struct Point {
    std::string type;
    bool is_local = true;
  };
  absl::flat_hash_map<std::string, Point> points_;
};

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_BASE_MOUNT_GUARD_H_
