#include "client/cpp/durable_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/text.h"

namespace confstream {

absl::Status FileError(absl::string_view what, absl::string_view path) {
  return absl::ErrnoToStatus(errno, absl::StrCat("cannot ", what, " ", EscapeForDisplay(path)));
}

absl::StatusOr<UniqueFd> MakeFile(int directory, const std::string& name, mode_t mode) {
  UniqueFd fd(
      openat(directory, name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode));
  if (!fd.valid()) return FileError("make file", name);
  // Sets what umask took away.
  if (fchmod(fd.get(), mode) != 0) return FileError("set the permissions of", name);
  return fd;
}

absl::Status Sync(int fd, absl::string_view path) {
  // EINVAL: a file system whose directories cannot be synchronized has nothing to synchronize.
  if (fsync(fd) != 0 && errno != EINVAL) return FileError("write to disk", path);
  return absl::OkStatus();
}

}  // namespace confstream
