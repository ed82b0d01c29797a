// The real file system with a test standing between any two of its calls.

#ifndef CONFSTREAM_TESTS_FAKES_HOOKED_FILE_SYSTEM_H_
#define CONFSTREAM_TESTS_FAKES_HOOKED_FILE_SYSTEM_H_

#include <algorithm>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "server/base/file_system.h"

namespace confstream {

// Passes every call on to the real file system, after asking `before` whether it is to fail
// instead. `before` may also do something meanwhile: that is what happens between two calls. As
// thread-safe as the hooks are.
class HookedFileSystem final : public FileSystem {
 public:
  enum Call {
    kOpenRoot,
    kOpenEntry,
    kStat,
    kStatEntry,
    kReadLink,
    kList,
    kOpenForReading,
    kReadAt,
    kMounts,
    kMountId
  };

  // `name` is that of the entry for OpenEntry and StatEntry, else empty.
  using Hook = std::function<absl::Status(Call call, const std::string& name)>;

  // What is done before each call; OK: the call takes place.
  Hook before = [](Call, const std::string&) { return absl::OkStatus(); };

  // What is done after each call that took place: with `before`, something that goes on during one.
  std::function<void(Call call)> after = [](Call) {};

  // ReadAt() returns no more bytes than this at once, as a file system may.
  size_t max_read_bytes = std::numeric_limits<size_t>::max();

  // The size that Stat() and StatEntry() say a file has; unset: the truth.
  std::optional<int64_t> said_size;

  // As the root of a FAT: nothing tells by its size and times that it has changed.
  bool directories_look_unchanged = false;

  // What Mounts() says; unset: the truth.
  std::optional<MountTable> mounts;

  absl::StatusOr<UniqueFd> OpenRoot() override {
    if (absl::Status status = before(kOpenRoot, ""); !status.ok()) return status;
    return Done(kOpenRoot, real_.OpenRoot());
  }
  absl::StatusOr<UniqueFd> OpenEntry(int directory, const std::string& name) override {
    if (absl::Status status = before(kOpenEntry, name); !status.ok()) return status;
    return Done(kOpenEntry, real_.OpenEntry(directory, name));
  }
  absl::StatusOr<FileStat> Stat(int file) override {
    if (absl::Status status = before(kStat, ""); !status.ok()) return status;
    return Done(kStat, Said(real_.Stat(file)));
  }
  absl::StatusOr<FileStat> StatEntry(int directory, const std::string& name) override {
    if (absl::Status status = before(kStatEntry, name); !status.ok()) return status;
    return Done(kStatEntry, Said(real_.StatEntry(directory, name)));
  }
  absl::StatusOr<std::string> ReadLink(int link) override {
    if (absl::Status status = before(kReadLink, ""); !status.ok()) return status;
    return Done(kReadLink, real_.ReadLink(link));
  }
  absl::StatusOr<std::vector<DirectoryEntry>> List(int directory, size_t max_entries) override {
    if (absl::Status status = before(kList, ""); !status.ok()) return status;
    return Done(kList, real_.List(directory, max_entries));
  }
  absl::StatusOr<UniqueFd> OpenForReading(int file) override {
    if (absl::Status status = before(kOpenForReading, ""); !status.ok()) return status;
    return Done(kOpenForReading, real_.OpenForReading(file));
  }
  absl::StatusOr<size_t> ReadAt(int file, char* to, size_t size, int64_t offset) override {
    if (absl::Status status = before(kReadAt, ""); !status.ok()) return status;
    return Done(kReadAt, real_.ReadAt(file, to, std::min(size, max_read_bytes), offset));
  }
  absl::StatusOr<MountTable> Mounts() override {
    if (absl::Status status = before(kMounts, ""); !status.ok()) return status;
    return Done(kMounts, mounts.has_value() ? absl::StatusOr<MountTable>(*mounts) : real_.Mounts());
  }
  absl::StatusOr<int64_t> MountId(int file) override {
    if (absl::Status status = before(kMountId, ""); !status.ok()) return status;
    return Done(kMountId, real_.MountId(file));
  }

 private:
  template <typename Result>
  Result Done(Call call, Result result) {
    after(call);
    return result;
  }

  absl::StatusOr<FileStat> Said(absl::StatusOr<FileStat> stat) const {
    if (stat.ok() && stat->kind == FileKind::kRegular) {
      stat->size_bytes = said_size.value_or(stat->size_bytes);
    }
    if (stat.ok() && stat->kind == FileKind::kDirectory && directories_look_unchanged) {
      stat->size_bytes = 0;
      stat->mtime = stat->ctime = absl::UnixEpoch();
    }
    return stat;
  }

  PosixFileSystem real_;
};

}  // namespace confstream

#endif  // CONFSTREAM_TESTS_FAKES_HOOKED_FILE_SYSTEM_H_
