#include "server/snapshot/mount_check.h"

#include "absl/strings/str_cat.h"
#include "server/base/mount_table.h"
#include "server/base/text.h"

namespace confstream {
namespace {

constexpr char kRemedy[] = "mount it anew, which for a container means to restart its pod";

absl::Status Detached(const std::string& point, absl::string_view what) {
  return absl::FailedPreconditionError(
      absl::StrCat(EscapeForDisplay(point), ": ", what,
                   ", so that no change will ever be seen here: ", kRemedy));
}

}  // namespace

MountCheck::Finding MountCheck::Look(const ResolvedPath& route) {
  Finding finding;
  if (route.target_fd == nullptr) return finding;
  const auto mounts = file_system_->Mounts();
  const auto id = file_system_->MountId(route.target_fd->get());
  if (!mounts.ok() || !id.ok()) return finding;
  const Mount* mount = mounts->FindById(*id);
  if (mount == nullptr) return finding;
  // Without a link to it only a mount leads to it; elsewhere it has been deleted just now.
  const bool at_point = mount->point == route.target;
  if (mount->root_deleted() || (at_point && route.target_stat.links == 0)) {
    finding.detached = Detached(mount->point, "what is mounted there was deleted");
    return finding;
  }
  if (!route.status.ok()) return finding;
  if (point_.size() > mount->point.size() && IsWithin(route.target, point_)) {
    finding.unmounted = absl::NotFoundError(absl::StrCat(
        EscapeForDisplay(point_),
        " is not mounted any more, and the source was read from there: mount it again, or restart "
        "confstreamd if the files that now show are meant"));
    return finding;
  }
  if (at_point && route.target_stat.kind == FileKind::kRegular) {
    if (*id == file_mount_ && mount->root != file_root_) {
      finding.detached = Detached(mount->point, "the file that is mounted there was renamed");
      return finding;
    }
    file_mount_ = *id;
    file_root_ = mount->root;
  }
  if (mount->root_in_generation()) {
    finding.warning = absl::StrCat(
        EscapeForDisplay(mount->point),
        " is a subPath mount of a Kubernetes volume, which never shows an update: mount the whole "
        "volume instead");
  }
  point_ = mount->point;
  return finding;
}

}  // namespace confstream
