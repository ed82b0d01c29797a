#include "tests/fakes/memory_file_system.h"

#include <fcntl.h>
#include <limits.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace confstream {
namespace {

constexpr dev_t kDevice = 1;
constexpr int64_t kMount = 1;

absl::Status Error(int error, absl::string_view call) { return absl::ErrnoToStatus(error, call); }

}  // namespace

MemoryFileSystem::MemoryFileSystem()
    : null_(open("/dev/null", O_RDONLY | O_CLOEXEC)),
      root_{FileKind::kDirectory, "/", "", {kDevice, last_inode_}, {}} {}

bool MemoryFileSystem::AddDirectory(absl::string_view path) {
  return Add(path, FileKind::kDirectory, "");
}

bool MemoryFileSystem::AddFile(absl::string_view path, std::string content) {
  return Add(path, FileKind::kRegular, std::move(content));
}

bool MemoryFileSystem::AddLink(absl::string_view path, std::string text) {
  return Add(path, FileKind::kLink, std::move(text));
}

bool MemoryFileSystem::AddDevice(absl::string_view path) { return Add(path, FileKind::kOther, ""); }

bool MemoryFileSystem::Add(absl::string_view path, FileKind kind, std::string text) {
  const std::vector<std::string> names = absl::StrSplit(path, '/', absl::SkipEmpty());
  Node* at = &root_;
  size_t there = 0;
  while (there < names.size()) {
    const auto found = at->entries.find(names[there]);
    if (found == at->entries.end()) break;
    at = found->second.get();
    ++there;
  }
  const bool named = std::all_of(names.begin(), names.end(), [](const std::string& name) {
    return name != "." && name != ".." && name.size() <= NAME_MAX;
  });
  if (there == names.size() || at->kind != FileKind::kDirectory || !named) return false;
  for (; there < names.size(); ++there) {
    const bool last = there + 1 == names.size();
    auto node = std::make_unique<Node>();
    node->kind = last ? kind : FileKind::kDirectory;
    node->path = absl::StrCat(at == &root_ ? "" : at->path, "/", names[there]);
    if (last) node->text = std::move(text);
    node->id = {kDevice, ++last_inode_};
    at = (at->entries[names[there]] = std::move(node)).get();
  }
  return true;
}

const MemoryFileSystem::Node* MemoryFileSystem::NodeOf(int file) const {
  const auto found = open_.find(file);
  return found == open_.end() ? nullptr : found->second;
}

std::string MemoryFileSystem::PathOf(int file) const {
  const Node* node = NodeOf(file);
  return node == nullptr ? "" : node->path;
}

absl::StatusOr<UniqueFd> MemoryFileSystem::Open(const Node* node) {
  UniqueFd fd(fcntl(null_.get(), F_DUPFD_CLOEXEC, 0));
  if (!fd.valid()) return Error(errno, "open");
  open_[fd.get()] = node;
  opened_.push_back(node->path);
  return fd;
}

absl::StatusOr<UniqueFd> MemoryFileSystem::OpenRoot() { return Open(&root_); }

absl::StatusOr<const MemoryFileSystem::Node*> MemoryFileSystem::Entry(
    int directory, const std::string& name, absl::string_view call) const {
  const Node* node = NodeOf(directory);
  if (node == nullptr) return Error(EBADF, call);
  if (node->kind != FileKind::kDirectory) return Error(ENOTDIR, call);
  if (name.size() > NAME_MAX) return Error(ENAMETOOLONG, call);
  const auto found = node->entries.find(name);
  if (found == node->entries.end()) return Error(ENOENT, call);
  return found->second.get();
}

absl::StatusOr<UniqueFd> MemoryFileSystem::OpenEntry(int directory, const std::string& name) {
  const auto node = Entry(directory, name, "open");
  if (!node.ok()) return node.status();
  return Open(*node);
}

FileStat MemoryFileSystem::StatOf(const Node& node) {
  FileStat stat;
  stat.kind = node.kind;
  stat.id = node.id;
  stat.size_bytes = static_cast<int64_t>(node.text.size());
  stat.mtime = absl::UnixEpoch();
  stat.ctime = absl::UnixEpoch();
  return stat;
}

absl::StatusOr<FileStat> MemoryFileSystem::Stat(int file) {
  const Node* node = NodeOf(file);
  if (node == nullptr) return Error(EBADF, "fstat");
  return StatOf(*node);
}

absl::StatusOr<FileStat> MemoryFileSystem::StatEntry(int directory, const std::string& name) {
  const auto node = Entry(directory, name, "fstatat");
  if (!node.ok()) return node.status();
  return StatOf(**node);
}

absl::StatusOr<std::string> MemoryFileSystem::ReadLink(int link) {
  const Node* node = NodeOf(link);
  if (node == nullptr || node->kind != FileKind::kLink) return Error(EINVAL, "readlink");
  return node->text;
}

absl::StatusOr<std::vector<DirectoryEntry>> MemoryFileSystem::List(int directory,
                                                                   size_t max_entries) {
  const Node* node = NodeOf(directory);
  if (node == nullptr || node->kind != FileKind::kDirectory) {
    return Error(ENOTDIR, "open directory");
  }
  std::vector<DirectoryEntry> listed;
  for (const auto& [name, entry] : node->entries) {
    if (listed.size() == max_entries) break;
    listed.push_back({name, tells_kinds_ ? std::optional<FileKind>(entry->kind) : std::nullopt});
  }
  return listed;
}

absl::StatusOr<UniqueFd> MemoryFileSystem::OpenForReading(int file) {
  const Node* node = NodeOf(file);
  if (node == nullptr) return Error(EBADF, "open");
  return Open(node);
}

absl::StatusOr<size_t> MemoryFileSystem::ReadAt(int file, char* to, size_t size, int64_t offset) {
  const Node* node = NodeOf(file);
  if (node == nullptr) return Error(EBADF, "read");
  const size_t from = std::min(static_cast<size_t>(offset), node->text.size());
  return node->text.copy(to, size, from);
}

absl::StatusOr<int64_t> MemoryFileSystem::MountId(int file) {
  if (NodeOf(file) == nullptr) return Error(EBADF, "fdinfo");
  return kMount;
}

}  // namespace confstream
