// What is mounted where, as /proc/self/mountinfo tells (proc_pid_mountinfo(5)).

#ifndef CONFSTREAM_SERVER_BASE_MOUNT_TABLE_H_
#define CONFSTREAM_SERVER_BASE_MOUNT_TABLE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace confstream {

struct Mount {
  int64_t id = 0;     // reused at once for the next mount
  std::string root;   // what of the file system is mounted, as it is called there by now
  std::string point;  // where: absolute
  std::string type;   // of the file system, such as `ext4`

  // The file or directory that is mounted was deleted: nothing will ever change there.
  bool root_deleted() const;
  // The mount shows one file of a generation that kubelet wrote (a subPath mount): its updates go
  // to another generation, and are never seen through this mount.
  bool root_in_generation() const;
  // True for the file systems that are known to answer without asking anybody, and to tell inotify
  // of every change. All others may be changed from elsewhere without a word, and may hang.
  bool is_local() const;

  friend bool operator==(const Mount& a, const Mount& b) {
    return a.id == b.id && a.root == b.root && a.point == b.point && a.type == b.type;
  }
};

// True if `path` is `directory` or below it. Both are absolute and free of links.
bool IsWithin(absl::string_view path, absl::string_view directory);

// The mounts of one moment. Immutable.
class MountTable {
 public:
  MountTable() = default;

  // Lines that cannot be read are passed over.
  static MountTable Parse(absl::string_view mountinfo);

  // In the order they were mounted.
  const std::vector<Mount>& all() const { return mounts_; }
  // Null: there is none.
  const Mount* FindById(int64_t id) const;

  // The mounts that are passed on the way to `path`, absolute and free of links; and those below
  // it.
  std::vector<Mount> OnTheWay(absl::string_view path) const;
  std::vector<Mount> Below(absl::string_view path) const;

 private:
  std::vector<Mount> mounts_;
};

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_BASE_MOUNT_TABLE_H_
