// A file system in memory: any tree, made in microseconds.

#ifndef CONFSTREAM_TESTS_FAKES_MEMORY_FILE_SYSTEM_H_
#define CONFSTREAM_TESTS_FAKES_MEMORY_FILE_SYSTEM_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "server/base/file_system.h"

namespace confstream {

// Behaves like the real one, permissions aside. Its descriptors are real, and lead to /dev/null;
// what one stands for is forgotten when its number is used again. Thread-compatible.
class MemoryFileSystem final : public FileSystem {
 public:
  MemoryFileSystem();

  // Each adds an entry at `path`, absolute and free of links, `.` and `..`, with the directories
  // that lead to it. False, and nothing is added: something is there already, a file is on the way,
  // or a name is longer than names can be. `text` is not empty.
  bool AddDirectory(absl::string_view path);
  bool AddFile(absl::string_view path, std::string content);
  bool AddLink(absl::string_view path, std::string text);
  bool AddDevice(absl::string_view path);  // neither file nor directory nor link

  // Whether listing tells the kinds of entries, as most file systems do.
  void set_tells_kinds(bool tells) { tells_kinds_ = tells; }
  void set_mounts(MountTable mounts) { mounts_ = std::move(mounts); }

  // Of what the descriptor stands for.
  std::string PathOf(int file) const;
  // The paths of all that was opened, in order.
  const std::vector<std::string>& opened() const { return opened_; }
  void ForgetOpened() { opened_.clear(); }

  absl::StatusOr<UniqueFd> OpenRoot() override;
  absl::StatusOr<UniqueFd> OpenEntry(int directory, const std::string& name) override;
  absl::StatusOr<FileStat> Stat(int file) override;
  absl::StatusOr<FileStat> StatEntry(int directory, const std::string& name) override;
  absl::StatusOr<std::string> ReadLink(int link) override;
  absl::StatusOr<std::vector<DirectoryEntry>> List(int directory, size_t max_entries) override;
  absl::StatusOr<UniqueFd> OpenForReading(int file) override;
  absl::StatusOr<size_t> ReadAt(int file, char* to, size_t size, int64_t offset) override;
  absl::StatusOr<MountTable> Mounts() override { return mounts_; }
  absl::StatusOr<int64_t> MountId(int file) override;

 private:
  struct Node {
    FileKind kind;
    std::string path;
    std::string text;  // a file's content, a link's target
    FileId id;
    std::map<std::string, std::unique_ptr<Node>> entries;
  };

  bool Add(absl::string_view path, FileKind kind, std::string text);
  absl::StatusOr<UniqueFd> Open(const Node* node);
  absl::StatusOr<const Node*> Entry(int directory, const std::string& name,
                                    absl::string_view call) const;
  static FileStat StatOf(const Node& node);
  const Node* NodeOf(int file) const;

  const UniqueFd null_;
  bool tells_kinds_ = true;
  MountTable mounts_;
  ino_t last_inode_ = 1;
  Node root_;
  std::map<int, const Node*> open_;  // by descriptor
  std::vector<std::string> opened_;
};

}  // namespace confstream

#endif  // CONFSTREAM_TESTS_FAKES_MEMORY_FILE_SYSTEM_H_
