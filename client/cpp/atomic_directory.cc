#include "client/cpp/atomic_directory.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <system_error>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "client/cpp/durable_file.h"
#include "client/cpp/file_paths.h"
#include "server/base/file_system.h"
#include "server/base/link_resolver.h"
#include "server/base/random_id.h"
#include "server/base/text.h"

namespace confstream {
namespace {

constexpr char kDataTmpLink[] = "..data_tmp";
constexpr char kOurs[] = ".confstream-";
constexpr size_t kOursBegins = sizeof("..2026_01_31_10_00_00") - 1;
constexpr mode_t kDirectoryMode = 0755;

// True for the names of generations. kubelet's own end in digits: a volume of its is not taken for
// one of ours, and left alone.
bool IsGenerationName(absl::string_view name) {
  return absl::StartsWith(name, "..") && name.size() > kOursBegins &&
         absl::StartsWith(name.substr(kOursBegins), kOurs);
}

// The first component of a path.
std::string TopOf(absl::string_view path) { return std::string(path.substr(0, path.find('/'))); }

std::optional<std::string> LinkText(int directory, const std::string& name) {
  char text[PATH_MAX];
  const ssize_t length = readlinkat(directory, name.c_str(), text, sizeof(text));
  if (length < 0) return std::nullopt;
  return std::string(text, static_cast<size_t>(length));
}

absl::Status MakeDirectory(int directory, const std::string& name) {
  // The second call sets what umask took away.
  if (mkdirat(directory, name.c_str(), kDirectoryMode) != 0 ||
      fchmodat(directory, name.c_str(), kDirectoryMode, 0) != 0) {
    return FileError("make directory", name);
  }
  return absl::OkStatus();
}

absl::Status SyncDirectory(int directory, const std::string& name) {
  const UniqueFd fd(openat(directory, name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid()) return FileError("open directory", name);
  return Sync(fd.get(), name);
}

absl::Status WriteWhole(int directory, const std::string& name, absl::string_view content,
                        mode_t mode) {
  const absl::StatusOr<UniqueFd> fd = MakeFile(directory, name, mode);
  if (!fd.ok()) return fd.status();
  while (!content.empty()) {
    const ssize_t written = write(fd->get(), content.data(), content.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return FileError("write", name);
    content.remove_prefix(static_cast<size_t>(written));
  }
  return Sync(fd->get(), name);
}

// True if the file is a regular one, with these permissions and bytes.
bool FileIs(int directory, const std::string& name, absl::string_view content, mode_t mode) {
  const UniqueFd fd(
      openat(directory, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  struct stat st {};
  if (!fd.valid() || fstat(fd.get(), &st) != 0 || !S_ISREG(st.st_mode) ||
      (st.st_mode & 07777) != mode || st.st_size != static_cast<off_t>(content.size())) {
    return false;
  }
  char buffer[65536];
  while (!content.empty()) {
    const ssize_t got = read(fd.get(), buffer, sizeof(buffer));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    const absl::string_view bytes(buffer, static_cast<size_t>(got));
    if (!absl::StartsWith(content, bytes)) return false;
    content.remove_prefix(bytes.size());
  }
  return true;
}

}  // namespace

absl::StatusOr<std::unique_ptr<AtomicDirectory>> AtomicDirectory::Open(absl::string_view path,
                                                                       mode_t file_mode) {
  if (path.empty()) return absl::InvalidArgumentError("the directory has no name: write one");
  std::error_code error;
  const std::string absolute = std::filesystem::absolute(std::string(path), error).string();
  if (!error) std::filesystem::create_directories(absolute, error);
  if (error) {
    errno = error.value();
    return FileError("make directory", path);
  }
  UniqueFd directory(open(absolute.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory.valid()) return FileError("open directory", absolute);
  if (flock(directory.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return FileError("lock directory", absolute);
    return absl::FailedPreconditionError(absl::StrCat("another process keeps directory ",
                                                      EscapeForDisplay(absolute),
                                                      ": end it, or name another directory"));
  }
  std::unique_ptr<AtomicDirectory> opened(
      new AtomicDirectory(absolute, file_mode, std::move(directory)));
  if (absl::Status tidied = opened->Tidy(); !tidied.ok()) return tidied;
  return opened;
}

absl::StatusOr<bool> AtomicDirectory::Replace(const std::vector<ReceivedFile>& files) {
  if (absl::Status status = CheckFilePaths(files); !status.ok()) return status;
  const auto entries = Look();
  if (!entries.ok()) return entries.status();
  if (Holds(*entries, files)) return false;
  auto generation = WriteGeneration(files);
  if (!generation.ok()) return generation.status();
  if (absl::Status swapped = SwapData(*generation); !swapped.ok()) {
    std::error_code ignored;
    std::filesystem::remove_all(PathOf(*generation), ignored);
    return swapped;
  }
  if (absl::Status tidied = Tidy(); !tidied.ok()) return tidied;
  return true;
}

absl::StatusOr<AtomicDirectory::Entries> AtomicDirectory::Look() const {
  auto listed = PosixFileSystem().List(directory_.get(), SIZE_MAX);
  if (!listed.ok()) {
    return absl::Status(listed.status().code(),
                        absl::StrCat("cannot list directory ", EscapeForDisplay(path_), ": ",
                                     listed.status().message()));
  }
  Entries entries;
  for (const DirectoryEntry& entry : *listed) {
    const std::string& name = entry.name;
    const std::optional<std::string> text = LinkText(directory_.get(), name);
    if (name == kDataLink && text.has_value() && IsGenerationName(*text)) {
      entries.data = *text;
    } else if (name == kDataTmpLink && text.has_value()) {
      entries.data_tmp = true;
    } else if (IsGenerationName(name) && !text.has_value()) {
      entries.generations.insert(name);
    } else if (!absl::StartsWith(name, "..") && text == absl::StrCat(kDataLink, "/", name)) {
      entries.links.insert(name);
    } else {
      return absl::FailedPreconditionError(absl::StrCat(
          "directory ", EscapeForDisplay(path_), " holds `", EscapeForDisplay(name),
          "`, which is not of confstream's making: name an empty directory, or move it away"));
    }
  }
  return entries;
}

bool AtomicDirectory::Holds(const Entries& entries, const std::vector<ReceivedFile>& files) const {
  if (entries.generations.count(entries.data) == 0) return false;
  std::set<std::string> tops;
  for (const ReceivedFile& file : files) {
    tops.insert(TopOf(file.path));
    if (!FileIs(directory_.get(), absl::StrCat(entries.data, "/", file.path), *file.content,
                file_mode_)) {
      return false;
    }
  }
  size_t found = 0;
  std::error_code error;
  for (std::filesystem::recursive_directory_iterator it(PathOf(entries.data), error), end;
       !error && it != end; it.increment(error)) {
    if (it->symlink_status(error).type() != std::filesystem::file_type::directory) ++found;
  }
  return !error && found == files.size() && tops == entries.links;
}

absl::StatusOr<std::string> AtomicDirectory::WriteGeneration(
    const std::vector<ReceivedFile>& files) const {
  const std::string generation =
      absl::StrCat(absl::FormatTime("..%Y_%m_%d_%H_%M_%S", absl::Now(), absl::UTCTimeZone()), kOurs,
                   RandomId().substr(0, 12));
  absl::Status status = MakeDirectory(directory_.get(), generation);
  const UniqueFd root(openat(directory_.get(), generation.c_str(), O_PATH | O_CLOEXEC));
  std::set<std::string> made = {"."};
  for (const ReceivedFile& file : files) {
    for (size_t slash = file.path.find('/'); status.ok() && slash != std::string::npos;
         slash = file.path.find('/', slash + 1)) {
      const std::string parent = file.path.substr(0, slash);
      if (made.insert(parent).second) status = MakeDirectory(root.get(), parent);
    }
    if (status.ok()) status = WriteWhole(root.get(), file.path, *file.content, file_mode_);
    if (!status.ok()) break;
  }
  for (const std::string& directory : made) {
    if (status.ok()) status = SyncDirectory(root.get(), directory);
  }
  if (status.ok()) status = Sync(directory_.get(), path_);  // the generation's own name
  if (status.ok()) return generation;
  std::error_code ignored;
  std::filesystem::remove_all(PathOf(generation), ignored);
  return absl::Status(status.code(), absl::StrCat(status.message(), " (in directory ",
                                                  EscapeForDisplay(path_), ")"));
}

absl::Status AtomicDirectory::SwapData(const std::string& generation) const {
  unlinkat(directory_.get(), kDataTmpLink, 0);  // a swap that failed left it
  if (symlinkat(generation.c_str(), directory_.get(), kDataTmpLink) != 0) {
    return FileError("make link", PathOf(kDataTmpLink));
  }
  if (renameat(directory_.get(), kDataTmpLink, directory_.get(), kDataLink) != 0) {
    return FileError("replace link", PathOf(kDataLink));
  }
  return absl::OkStatus();
}

absl::Status AtomicDirectory::Tidy() const {
  const auto entries = Look();
  if (!entries.ok()) return entries.status();
  // What the disk has must not be older than what is removed.
  if (absl::Status synced = Sync(directory_.get(), path_); !synced.ok()) return synced;

  std::set<std::string> tops;
  if (entries->generations.count(entries->data) > 0) {
    std::error_code error;
    for (std::filesystem::directory_iterator it(PathOf(entries->data), error), end;
         !error && it != end; it.increment(error)) {
      tops.insert(it->path().filename().string());
    }
    if (error) {
      errno = error.value();
      return FileError("list", PathOf(entries->data));
    }
  }
  for (const std::string& name : tops) {
    if (entries->links.count(name) > 0) continue;
    if (symlinkat(absl::StrCat(kDataLink, "/", name).c_str(), directory_.get(), name.c_str()) !=
        0) {
      return FileError("make link", PathOf(name));
    }
  }
  for (const std::string& name : entries->links) {
    if (tops.count(name) == 0) unlinkat(directory_.get(), name.c_str(), 0);
  }
  if (entries->data_tmp) unlinkat(directory_.get(), kDataTmpLink, 0);
  std::error_code ignored;
  for (const std::string& name : entries->generations) {
    if (name != entries->data) std::filesystem::remove_all(PathOf(name), ignored);
  }
  return Sync(directory_.get(), path_);
}

std::string AtomicDirectory::PathOf(absl::string_view name) const {
  return absl::StrCat(path_, "/", name);
}

}  // namespace confstream
