// The real file system with a test standing between any two of its calls.

#ifndef CONFSTREAM_TESTS_FAKES_HOOKED_FILE_SYSTEM_H_
#define CONFSTREAM_TESTS_FAKES_HOOKED_FILE_SYSTEM_H_

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "server/base/file_system.h"

namespace confstream {

// Passes every call on to the real file system, after asking `before` whether it is to fail
// instead. `before` may also do something meanwhile: that is what happens between two calls. As
// thread-safe as `before` is.
class HookedFileSystem final : public FileSystem {
 public:
  enum Call { kOpenRoot, kOpenEntry, kStat, kReadLink, kList, kOpenForReading, kReadAt };

  // `name` is that of OpenEntry's entry, else empty.
  using Hook = std::function<absl::Status(Call call, const std::string& name)>;

  // What is done before each call; OK: the call takes place.
  Hook before = [](Call, const std::string&) { return absl::OkStatus(); };

  absl::StatusOr<UniqueFd> OpenRoot() override {
    if (absl::Status status = before(kOpenRoot, ""); !status.ok()) return status;
    return real_.OpenRoot();
  }
  absl::StatusOr<UniqueFd> OpenEntry(int directory, const std::string& name) override {
    if (absl::Status status = before(kOpenEntry, name); !status.ok()) return status;
    return real_.OpenEntry(directory, name);
  }
  absl::StatusOr<FileStat> Stat(int file) override {
    if (absl::Status status = before(kStat, ""); !status.ok()) return status;
    return real_.Stat(file);
  }
  absl::StatusOr<std::string> ReadLink(int link) override {
    if (absl::Status status = before(kReadLink, ""); !status.ok()) return status;
    return real_.ReadLink(link);
  }
  absl::StatusOr<std::vector<DirectoryEntry>> List(int directory, size_t max_entries) override {
    if (absl::Status status = before(kList, ""); !status.ok()) return status;
    return real_.List(directory, max_entries);
  }
  absl::StatusOr<UniqueFd> OpenForReading(int file) override {
    if (absl::Status status = before(kOpenForReading, ""); !status.ok()) return status;
    return real_.OpenForReading(file);
  }
  absl::StatusOr<size_t> ReadAt(int file, char* to, size_t size, int64_t offset) override {
    if (absl::Status status = before(kReadAt, ""); !status.ok()) return status;
    return real_.ReadAt(file, to, size, offset);
  }

 private:
  PosixFileSystem real_;
};

}  // namespace confstream

#endif  // CONFSTREAM_TESTS_FAKES_HOOKED_FILE_SYSTEM_H_
