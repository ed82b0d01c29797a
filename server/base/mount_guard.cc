#include "server/base/mount_guard.h"

#include "absl/strings/str_cat.h"
#include "server/base/text.h"

namespace confstream {

MountGuard::MountGuard(const MountTable& mounts) {
  for (const Mount& mount : mounts.all()) {
    // What is mounted later at the same point hides what was there.
    points_[mount.point] = {mount.type, mount.is_local()};
  }
}

absl::Status MountGuard::MayTouch(const std::string& path) const {
  const auto found = points_.find(path);
  if (found == points_.end() || found->second.is_local) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat(EscapeForDisplay(path), " is a file system of type ",
                                             EscapeForDisplay(found->second.type),
                                             ", which is not known to tell of changes"));
}

}  // namespace confstream
