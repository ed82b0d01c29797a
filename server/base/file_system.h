// The calls to the file system that Confstream makes, as an interface, so that tests can make any
// of them fail or let something happen between two of them.

#ifndef CONFSTREAM_SERVER_BASE_FILE_SYSTEM_H_
#define CONFSTREAM_SERVER_BASE_FILE_SYSTEM_H_

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "server/base/mount_table.h"
#include "server/base/unique_fd.h"

namespace confstream {

enum class FileKind { kRegular, kDirectory, kLink, kOther };

// Identity of a file for as long as something holds it: numbers are reused once it is gone.
struct FileId {
  dev_t device = 0;
  ino_t inode = 0;

  friend bool operator==(const FileId& a, const FileId& b) {
    return a.device == b.device && a.inode == b.inode;
  }
  friend bool operator!=(const FileId& a, const FileId& b) { return !(a == b); }
};

struct FileStat {
  FileKind kind = FileKind::kOther;
  FileId id;
  int64_t size_bytes = 0;
  int64_t links = 1;  // 0: it was deleted, and is there only for whoever holds it
  absl::Time mtime;
  absl::Time ctime;

  // False: somebody has written to the file, replaced it or changed its attributes between the two
  // calls.
  friend bool operator==(const FileStat& a, const FileStat& b) {
    return a.kind == b.kind && a.id == b.id && a.size_bytes == b.size_bytes && a.mtime == b.mtime &&
           a.ctime == b.ctime;
  }
};

struct DirectoryEntry {
  std::string name;
  std::optional<FileKind> kind;  // unset: the file system does not tell while listing
};

// Walks by descriptor only: every path is opened component by component, so nothing can be swapped
// underneath. Descriptors that "stand for" a file (O_PATH) give no access to its content and have
// no effect on devices. Thread-safe. Errors are those of absl::ErrnoToStatus, with the call's name.
class FileSystem {
 public:
  virtual ~FileSystem() = default;

  // Stands for `/`.
  virtual absl::StatusOr<UniqueFd> OpenRoot() = 0;
  // Stands for the entry `name` of the directory, a link itself if it is one.
  virtual absl::StatusOr<UniqueFd> OpenEntry(int directory, const std::string& name) = 0;
  virtual absl::StatusOr<FileStat> Stat(int file) = 0;
  // The same of the entry `name` of the directory, a link itself if it is one, without opening it:
  // one system call where OpenEntry, Stat and closing take three.
  virtual absl::StatusOr<FileStat> StatEntry(int directory, const std::string& name) = 0;
  // The text of the link that the descriptor stands for.
  virtual absl::StatusOr<std::string> ReadLink(int link) = 0;
  // The entries of the directory, without `.` and `..`, in no order; no more than `max_entries`
  // of them.
  virtual absl::StatusOr<std::vector<DirectoryEntry>> List(int directory, size_t max_entries) = 0;
  // A descriptor to read the regular file that `file` stands for. Never blocks. REQUIRES: a regular
  // file.
  virtual absl::StatusOr<UniqueFd> OpenForReading(int file) = 0;
  // Reads up to `size` bytes at `offset`; returns how many, 0 at the end.
  virtual absl::StatusOr<size_t> ReadAt(int file, char* to, size_t size, int64_t offset) = 0;

  // What is mounted now. Touches none of the mounts.
  virtual absl::StatusOr<MountTable> Mounts() = 0;
  // Mount::id of the mount through which `file` was opened.
  virtual absl::StatusOr<int64_t> MountId(int file) = 0;
};

// How many descriptors one reading may hold at a time: an eighth of what the process may have, so
// that connections are left some even while all workers read.
size_t DescriptorShare();

// The file system of the machine. Needs /proc to open what a descriptor stands for, and to know
// mounts.
class PosixFileSystem final : public FileSystem {
 public:
  absl::StatusOr<UniqueFd> OpenRoot() override;
  absl::StatusOr<UniqueFd> OpenEntry(int directory, const std::string& name) override;
  absl::StatusOr<FileStat> Stat(int file) override;
  absl::StatusOr<FileStat> StatEntry(int directory, const std::string& name) override;
  absl::StatusOr<std::string> ReadLink(int link) override;
  absl::StatusOr<std::vector<DirectoryEntry>> List(int directory, size_t max_entries) override;
  absl::StatusOr<UniqueFd> OpenForReading(int file) override;
  absl::StatusOr<size_t> ReadAt(int file, char* to, size_t size, int64_t offset) override;
  absl::StatusOr<MountTable> Mounts() override;
  absl::StatusOr<int64_t> MountId(int file) override;
};

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_BASE_FILE_SYSTEM_H_
