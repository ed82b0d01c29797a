#include "client/cpp/disk_copy.h"

#include <fcntl.h>
#include <google/protobuf/io/zero_copy_stream_impl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/cpp/durable_file.h"
#include "client/cpp/snapshot_assembler.h"
#include "server/base/random_id.h"
#include "server/base/text.h"

namespace confstream {
namespace {

constexpr mode_t kFileMode = 0600;
constexpr mode_t kDirectoryMode = 0700;
constexpr char kUnfinished[] = ".tmp";
constexpr time_t kLeftoverSeconds = 600;

// 16 hex digits for the set of globs, whatever their order.
std::string ViewName(std::vector<std::string> path_globs) {
  std::sort(path_globs.begin(), path_globs.end());
  path_globs.erase(std::unique(path_globs.begin(), path_globs.end()), path_globs.end());
  std::string lines;
  for (const std::string& glob : path_globs) absl::StrAppend(&lines, glob, "\n");
  return Sha256::Of(lines).Hex().substr(0, 16);
}

v1::WatchResponse ToMessage(const ReceivedSnapshot& snapshot) {
  v1::WatchResponse message;
  *message.mutable_header() = snapshot.header;
  v1::Snapshot* const to = message.mutable_snapshot();
  to->set_view_digest(snapshot.view_digest);
  to->mutable_missing_globs()->Assign(snapshot.missing_globs.begin(), snapshot.missing_globs.end());
  for (const ReceivedFile& from : snapshot.files) {
    v1::ConfigFile* const file = to->add_files();
    file->set_path(from.path);
    file->set_content(*from.content);
    file->set_size_bytes(static_cast<int64_t>(from.content->size()));
    file->set_digest(from.digest.Text());
    file->set_content_type(from.content_type);
    file->set_last_changed_version(from.last_changed_version);
  }
  return message;
}

absl::Status WriteMessage(const v1::WatchResponse& message, int fd, const std::string& path) {
  google::protobuf::io::FileOutputStream stream(fd);
  if (!message.SerializeToZeroCopyStream(&stream) || !stream.Flush()) {
    errno = stream.GetErrno();
    if (errno != 0) return FileError("write", path);
    return absl::ResourceExhaustedError("it is too large for one message");
  }
  return Sync(fd, path);
}

}  // namespace

DiskCopy::DiskCopy(const std::string& directory, const std::string& source,
                   std::vector<std::string> path_globs, int64_t max_bytes)
    : directory_(directory),
      source_(source),
      name_(absl::StrCat(source, ".", ViewName(std::move(path_globs)), ".snapshot")),
      max_bytes_(max_bytes) {}

std::string DiskCopy::path() const { return absl::StrCat(directory_, "/", name_); }

absl::StatusOr<std::shared_ptr<const ReceivedSnapshot>> DiskCopy::Read() const {
  if (absl::Status status = CheckName(); !status.ok()) return status;
  std::error_code ignored;
  for (std::filesystem::directory_iterator it(directory_, ignored), end; !ignored && it != end;
       it.increment(ignored)) {
    const std::string name = it->path().filename().string();
    // One that is young may be another program's, which writes it now.
    struct stat st {};
    if (absl::StartsWith(name, absl::StrCat(name_, ".")) && absl::EndsWith(name, kUnfinished) &&
        stat(it->path().c_str(), &st) == 0 && time(nullptr) - st.st_mtime > kLeftoverSeconds) {
      unlink(it->path().c_str());
    }
  }

  // Not blocking, lest a FIFO of that name holds the program up.
  const UniqueFd fd(open(path().c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  if (!fd.valid() && errno == ENOENT) return nullptr;
  struct stat st {};
  if (!fd.valid() || fstat(fd.get(), &st) != 0) return FileError("open", path());
  if (st.st_size - SnapshotAssembler::kMostOverheadBytes > max_bytes_) {
    return absl::ResourceExhaustedError(absl::StrCat("it has ", st.st_size, " bytes, and ",
                                                     max_bytes_, " bytes are taken at most"));
  }
  v1::WatchResponse message;
  if (!S_ISREG(st.st_mode) || !message.ParseFromFileDescriptor(fd.get()) ||
      !message.has_snapshot()) {
    return absl::DataLossError("it is not a snapshot");
  }
  if (message.header().source() != source_) {
    return absl::DataLossError(absl::StrCat("it is a snapshot of the source ",
                                            EscapeForDisplay(message.header().source())));
  }
  // Whoever wrote it: what is to be right is the bytes, as the view digest tells.
  for (v1::ConfigFile& file : *message.mutable_snapshot()->mutable_files()) {
    file.set_size_bytes(static_cast<int64_t>(file.content().size()));
    file.set_digest(Sha256::Of(file.content()).Text());
  }
  SnapshotAssembler assembler(max_bytes_);
  auto snapshot = assembler.Take(message);
  if (absl::IsResourceExhausted(snapshot.status())) return snapshot.status();
  if (!snapshot.ok() || *snapshot == nullptr) {
    return absl::DataLossError("its files are not those that its view digest stands for");
  }
  return snapshot;
}

absl::Status DiskCopy::Write(const ReceivedSnapshot& snapshot) const {
  if (absl::Status status = CheckName(); !status.ok()) return status;
  std::error_code error;
  if (std::filesystem::create_directories(directory_, error))
    chmod(directory_.c_str(), kDirectoryMode);
  const UniqueFd directory(open(directory_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory.valid()) return FileError("open directory", directory_);
  const std::string unfinished = absl::StrCat(name_, ".", RandomId(), kUnfinished);
  const absl::StatusOr<UniqueFd> fd = MakeFile(directory.get(), unfinished, kFileMode);
  if (!fd.ok()) return fd.status();
  absl::Status status = WriteMessage(ToMessage(snapshot), fd->get(), unfinished);
  if (status.ok() &&
      renameat(directory.get(), unfinished.c_str(), directory.get(), name_.c_str()) != 0) {
    status = FileError("replace", path());
  }
  if (!status.ok()) {
    unlinkat(directory.get(), unfinished.c_str(), 0);
    return status;
  }
  return Sync(directory.get(), directory_);
}

absl::Status DiskCopy::CheckName() const {
  if (source_.find('/') == std::string::npos && source_.find('\0') == std::string::npos) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError("the name of the source cannot be part of the name of a file");
}

}  // namespace confstream
