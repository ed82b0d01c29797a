#include "server/base/file_system.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <memory>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

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

FileStat FileStatOf(const struct stat& st) {
  FileStat out;
  out.kind = KindOfMode(st.st_mode);
  out.id = {st.st_dev, st.st_ino};
  out.size_bytes = st.st_size;
  out.links = static_cast<int64_t>(st.st_nlink);
  out.mtime = absl::TimeFromTimespec(st.st_mtim);
  out.ctime = absl::TimeFromTimespec(st.st_ctim);
  return out;
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

// The content of a file of /proc, whose size nobody knows before.
absl::StatusOr<std::string> ReadProc(const std::string& path) {
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return ErrnoStatus(errno, absl::StrCat("open ", path));
  std::string text;
  char buffer[16 * 1024];
  while (true) {
    const ssize_t got = read(fd.get(), buffer, sizeof(buffer));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ErrnoStatus(errno, absl::StrCat("read ", path));
    if (got == 0) return text;
    text.append(buffer, static_cast<size_t>(got));
  }
}

absl::StatusOr<UniqueFd> Opened(int fd, absl::string_view call) {
  if (fd < 0) return ErrnoStatus(errno, call);
  return UniqueFd(fd);
}

}  // namespace

size_t DescriptorShare() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return 1 << 20;
  return static_cast<size_t>(limit.rlim_cur) / 8;
}

absl::StatusOr<UniqueFd> PosixFileSystem::OpenRoot() {
  return Opened(open("/", O_PATH | O_DIRECTORY | O_CLOEXEC), "open");
}

absl::StatusOr<UniqueFd> PosixFileSystem::OpenEntry(int directory, const std::string& name) {
  return Opened(openat(directory, name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC), "open");
}

absl::StatusOr<FileStat> PosixFileSystem::Stat(int file) {
  struct stat st {};
  if (fstat(file, &st) != 0) return ErrnoStatus(errno, "fstat");
  return FileStatOf(st);
}

absl::StatusOr<FileStat> PosixFileSystem::StatEntry(int directory, const std::string& name) {
  struct stat st {};
  // No automount is set off: a descriptor that stands for the entry would not do so either.
  if (fstatat(directory, name.c_str(), &st, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) != 0) {
    return ErrnoStatus(errno, "fstatat");
  }
  return FileStatOf(st);
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

absl::StatusOr<MountTable> PosixFileSystem::Mounts() {
  const auto text = ReadProc("/proc/self/mountinfo");
  if (!text.ok()) return text.status();
  return MountTable::Parse(*text);
}

absl::StatusOr<int64_t> PosixFileSystem::MountId(int file) {
  const auto text = ReadProc(absl::StrCat("/proc/self/fdinfo/", file));
  if (!text.ok()) return text.status();
  for (absl::string_view line : absl::StrSplit(*text, '\n')) {
    int64_t id = 0;
    if (absl::ConsumePrefix(&line, "mnt_id:") && absl::SimpleAtoi(line, &id)) return id;
  }
  return absl::InternalError("the kernel does not tell the mount of an open file");
}

}  // namespace confstream
