#include "server/serve/unix_socket.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "server/base/random_id.h"

namespace confstream {
namespace {

// How long another server may take to listen in the same directory.
constexpr absl::Duration kLockPatience = absl::Seconds(2);
constexpr absl::Duration kLockPause = absl::Milliseconds(5);

absl::Status Refused(absl::string_view what) { return absl::FailedPreconditionError(what); }

// `what`, with the text of errno.
absl::Status Failed(absl::string_view what) {
  return Refused(absl::StrCat(what, ": ", std::strerror(errno)));
}

// REQUIRES: `path` fits, as those of settings do and those that lead through a descriptor.
sockaddr_un AddressOf(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  return address;
}

UniqueFd NewSocket() {
  return UniqueFd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
}

// 0: somebody answers; else the errno that says why not.
int TryToConnect(const std::string& path) {
  const UniqueFd fd = NewSocket();
  if (!fd.valid()) return errno;
  const sockaddr_un address = AddressOf(path);
  if (path.size() >= sizeof(address.sun_path)) return ENAMETOOLONG;
  const bool connected =
      connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
  // A server that is so busy that its queue is full answers, too.
  return connected || errno == EAGAIN ? 0 : errno;
}

// A lock on a directory. Servers that take it wait for one another only as long as Listen() takes;
// other programs may hold it for ever.
class DirectoryLock {
 public:
  explicit DirectoryLock(int directory) : directory_(directory) {
    const absl::Time deadline = absl::Now() + kLockPatience;
    while (!(held_ = flock(directory_, LOCK_EX | LOCK_NB) == 0) && absl::Now() < deadline) {
      absl::SleepFor(kLockPause);
    }
  }
  ~DirectoryLock() {
    if (held_) flock(directory_, LOCK_UN);
  }
  bool held() const { return held_; }

 private:
  const int directory_;
  bool held_ = false;
};

}  // namespace

UnixSocket::UnixSocket(std::string path, UniqueFd directory)
    : path_(std::move(path)),
      name_(path_.substr(path_.rfind('/') + 1)),
      directory_(std::move(directory)) {}

absl::StatusOr<UnixSocket> UnixSocket::Listen(const std::string& path) {
  const std::string directory = path.substr(0, path.rfind('/') + 1);
  UniqueFd fd(open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid()) return Failed(absl::StrCat("its directory ", directory, " cannot be opened"));
  UnixSocket socket(path, std::move(fd));
  if (faccessat(socket.directory_.get(), ".", W_OK | X_OK, AT_EACCESS) != 0) {
    return Failed(absl::StrCat("its directory ", directory, " cannot be written"));
  }
  const DirectoryLock lock(socket.directory_.get());
  if (!lock.held()) {
    return Failed(absl::StrCat("its directory ", directory,
                               " cannot be locked, perhaps since another program has locked it"));
  }
  if (absl::Status free = socket.CheckFree(); !free.ok()) return free;
  if (absl::Status made = socket.Make(); !made.ok()) return made;
  return socket;
}

UnixSocket::~UnixSocket() {
  if (!directory_.valid()) return;  // moved from
  struct stat info {};
  if (!made_.has_value() || fstatat(directory_.get(), name_.c_str(), &info, AT_SYMLINK_NOFOLLOW)) {
    return;
  }
  const bool ours = made_ == std::pair<dev_t, ino_t>(info.st_dev, info.st_ino);
  if (ours) unlinkat(directory_.get(), name_.c_str(), 0);
}

absl::Status UnixSocket::CheckFree() const {
  struct stat info {};
  if (fstatat(directory_.get(), name_.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
    return errno == ENOENT ? absl::OkStatus() : Failed("it cannot be looked at");
  }
  if (!S_ISSOCK(info.st_mode)) {
    return Refused(
        "what is there is no socket, and is left alone: move it away if it is not needed");
  }
  const int answer = TryToConnect(path_);
  if (answer == ECONNREFUSED || answer == ENOENT) return absl::OkStatus();
  if (answer == 0) {
    return Refused("another server answers there: stop that one");
  }
  errno = answer;
  return Failed("it cannot be told whether another server is there");
}

absl::Status UnixSocket::Make() {
  const int directory = directory_.get();
  const std::string first_name = absl::StrCat(".confstream-", RandomId());
  // Through the descriptor, so that it is short, however long the directory's path is.
  const sockaddr_un address = AddressOf(absl::StrCat("/proc/self/fd/", directory, "/", first_name));
  socket_ = NewSocket();
  if (!socket_.valid() ||
      bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return Failed("a socket cannot be made in its directory");
  }
  struct stat info {};
  if (listen(socket_.get(), SOMAXCONN) != 0 ||
      fstatat(directory, first_name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0 ||
      renameat(directory, first_name.c_str(), directory, name_.c_str()) != 0) {
    absl::Status failed = Failed("the socket cannot be given its name");
    unlinkat(directory, first_name.c_str(), 0);
    return failed;
  }
  made_.emplace(info.st_dev, info.st_ino);
  return absl::OkStatus();
}

}  // namespace confstream
