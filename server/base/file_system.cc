#include "server/base/file_system.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <memory>

#include "absl/strings/str_cat.h"

namespace confstream {
namespace {

absl::Status ErrnoStatus(int error, absl::string_view call) {
  return absl::ErrnoToStatus(error, call);
}

FileKind KindOfMode(mode_t mode) {
  if (S_ISREG(mode)) return FileKind::kRegular;
  if (S_ISDIR(mode)) return FileKind::kDirectory;
  if (S_ISLNK(mode)) return FileKind::kLink;
  return FileKind::kOther;
}

std::optional<FileKind> KindOfEntry(unsigned char type) {
  switch (type) {
    case DT_UNKNOWN:
      return std::nullopt;
    case DT_REG:
      return FileKind::kRegular;
    case DT_DIR:
      return FileKind::kDirectory;
    case DT_LNK:
      return FileKind::kLink;
    default:
      return FileKind::kOther;
  }
}

absl::StatusOr<UniqueFd> Opened(int fd, absl::string_view call) {
  if (fd < 0) return ErrnoStatus(errno, call);
  return UniqueFd(fd);
}

}  // namespace

absl::StatusOr<UniqueFd> PosixFileSystem::OpenRoot() {
  return Opened(open("/", O_PATH | O_DIRECTORY | O_CLOEXEC), "open");
}

absl::StatusOr<UniqueFd> PosixFileSystem::OpenEntry(int directory, const std::string& name) {
  return Opened(openat(directory, name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC), "open");
}

absl::StatusOr<FileStat> PosixFileSystem::Stat(int file) {
  struct stat st {};
  if (fstat(file, &st) != 0) return ErrnoStatus(errno, "fstat");
  FileStat out;
  out.kind = KindOfMode(st.st_mode);
  out.id = {st.st_dev, st.st_ino};
  out.size_bytes = st.st_size;
  out.mtime = absl::TimeFromTimespec(st.st_mtim);
  out.ctime = absl::TimeFromTimespec(st.st_ctim);
  return out;
}

absl::StatusOr<std::string> PosixFileSystem::ReadLink(int link) {
  char text[PATH_MAX];
  const ssize_t length = readlinkat(link, "", text, sizeof(text));
  if (length < 0) return ErrnoStatus(errno, "readlink");
  return std::string(text, static_cast<size_t>(length));
}

absl::StatusOr<std::vector<DirectoryEntry>> PosixFileSystem::List(int directory,
                                                                  size_t max_entries) {
  const int fd = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return ErrnoStatus(errno, "open directory");
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(fdopendir(fd), closedir);
  if (stream == nullptr) {
    const int error = errno;
    close(fd);
    return ErrnoStatus(error, "fdopendir");
  }
  std::vector<DirectoryEntry> entries;
  while (true) {
    errno = 0;
    const dirent* entry = readdir(stream.get());
    if (entry == nullptr) {
      if (errno != 0) return ErrnoStatus(errno, "readdir");
      return entries;
    }
    const absl::string_view name = entry->d_name;
    if (name == "." || name == "..") continue;
    if (entries.size() == max_entries) return entries;
    entries.push_back({std::string(name), KindOfEntry(entry->d_type)});
  }
}

absl::StatusOr<UniqueFd> PosixFileSystem::OpenForReading(int file) {
  return Opened(open(absl::StrCat("/proc/self/fd/", file).c_str(),
                     O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC),
                "open");
}

absl::StatusOr<size_t> PosixFileSystem::ReadAt(int file, char* to, size_t size, int64_t offset) {
  while (true) {
    const ssize_t got = pread(file, to, size, offset);
    // open(O_TRUNC) sets the size first, then frees the blocks, which can take a while; change time
    // and event come last. On ext4 a file would look empty and untouched meanwhile. This call takes
    // the lock that the truncation holds: after it, a second look shows the new change time.
    if (got == 0) lseek(file, 0, SEEK_HOLE);
    if (got >= 0) return static_cast<size_t>(got);
    if (errno != EINTR) return ErrnoStatus(errno, "read");
  }
}

}  // namespace confstream
