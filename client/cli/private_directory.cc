#include "client/cli/private_directory.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <system_error>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/base/text.h"

namespace confstream {
namespace {

constexpr char kPrefix[] = "confstream-exec-";
// How often a directory may be swept away in the moment between its making and its locking.
constexpr int kMostAttempts = 100;

// The directory at `path`, if it belongs to this user; closed for programs that are started.
UniqueFd OpenOwn(const std::string& path) {
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  struct stat st {};
  if (!fd.valid() || fstat(fd.get(), &st) != 0 || st.st_uid != geteuid()) return UniqueFd();
  return fd;
}

// Removes what killed predecessors left in `parent`. What cannot be removed stays.
void Sweep(const std::filesystem::path& parent) {
  std::error_code error;
  for (std::filesystem::directory_iterator it(parent, error), end; !error && it != end;
       it.increment(error)) {
    if (!absl::StartsWith(it->path().filename().string(), kPrefix)) continue;
    const UniqueFd left = OpenOwn(it->path().string());
    if (!left.valid() || flock(left.get(), LOCK_EX | LOCK_NB) != 0) continue;
    std::error_code ignored;
    std::filesystem::remove_all(it->path(), ignored);
  }
}

// Locks the directory at `path`. Invalid if it cannot, or somebody swept the directory away.
UniqueFd LockNew(const std::string& path) {
  UniqueFd fd = OpenOwn(path);
  struct stat st {};
  // Waits for who sweeps, saw that nobody holds it yet, and is about to remove it.
  if (!fd.valid() || flock(fd.get(), LOCK_EX) != 0 || lstat(path.c_str(), &st) != 0) {
    return UniqueFd();
  }
  // For the programs that are started, too: see the class comment.
  if (fcntl(fd.get(), F_SETFD, 0) != 0) return UniqueFd();
  return fd;
}

absl::Status Failure(const std::filesystem::path& parent, int error) {
  return absl::ErrnoToStatus(
      error, absl::StrCat("cannot make a directory in ", EscapeForDisplay(parent.string()),
                          ": name one with --dir, or set TMPDIR"));
}

}  // namespace

absl::StatusOr<std::unique_ptr<PrivateDirectory>> PrivateDirectory::Make() {
  std::error_code error;
  const std::filesystem::path parent =
      std::filesystem::absolute(std::filesystem::temp_directory_path(error)).lexically_normal();
  if (error) return absl::InternalError(absl::StrCat("TMPDIR: ", error.message()));
  Sweep(parent);
  for (int attempt = 0; attempt < kMostAttempts; ++attempt) {
    std::string path = (parent / absl::StrCat(kPrefix, "XXXXXX")).string();
    if (mkdtemp(path.data()) == nullptr) return Failure(parent, errno);
    UniqueFd lock = LockNew(path);
    if (lock.valid()) {
      return std::unique_ptr<PrivateDirectory>(
          new PrivateDirectory(std::move(path), std::move(lock)));
    }
    rmdir(path.c_str());
  }
  return Failure(parent, EAGAIN);
}

PrivateDirectory::~PrivateDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace confstream
