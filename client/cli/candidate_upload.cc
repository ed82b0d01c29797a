#include "client/cli/candidate_upload.h"

#include <algorithm>
#include <filesystem>
#include <memory>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "server/base/link_resolver.h"
#include "server/base/text.h"

namespace confstream {
namespace {

// Far above what any server is configured to take: its own limits say what is too much.
constexpr int64_t kMostFiles = 1000000;
constexpr int kMostDepth = 256;
// What a file adds to a message besides path and content.
constexpr size_t kFileOverhead = 64;

absl::Status Named(const std::string& path, const absl::Status& status) {
  return absl::Status(status.code(),
                      absl::StrCat("cannot read ", EscapeForDisplay(path), ": ", status.message()));
}

}  // namespace

absl::StatusOr<CandidateUpload> CandidateUpload::Open(FileSystem* file_system,
                                                      const std::string& path,
                                                      const std::string& source) {
  std::error_code error;
  const std::string absolute = std::filesystem::absolute(path, error).lexically_normal().string();
  const ResolvedPath resolved =
      LinkResolver(file_system).ResolveSource(absolute, /*is_volume=*/false);
  if (!resolved.status.ok()) return Named(path, resolved.status);
  TreeRules rules;
  rules.max_files = kMostFiles;
  rules.max_depth = kMostDepth;
  auto tree = ListSourceTree(file_system, resolved, rules);
  if (!tree.ok()) return Named(path, tree.status());
  CandidateUpload upload(file_system, source, *std::move(tree));
  upload.TakeRefusals();
  return upload;
}

void CandidateUpload::TakeRefusals() {
  const auto add = [this](const std::string& path, const std::string& rule,
                          const std::string& message) {
    v1::Violation violation;
    violation.set_path(EscapeForDisplay(path));
    violation.set_rule(rule);
    violation.set_message(EscapeForDisplay(message));
    violations_.push_back(std::move(violation));
  };
  for (const TreeRefusal& refusal : tree_.refusals) {
    add(refusal.path, refusal.rule, refusal.message);
  }
  for (size_t i = 0; i < tree_.files.size(); ++i) {
    const std::string& path = tree_.files[i].path;
    if (IsValidUtf8(path) && !HasControlCharacters(path)) {
      files_.push_back(i);
    } else {
      add(path, "path.characters",
          "the name has control characters or is not UTF-8: rename the file or exclude it");
    }
  }
}

absl::StatusOr<bool> CandidateUpload::Next(v1::ValidateSnapshotRequest* request) {
  if (begun_ && next_ == files_.size()) return false;
  if (!begun_) request->set_source(source_);
  begun_ = true;
  size_t room = kMessageBytes;
  while (next_ < files_.size() && room > 0) {
    const TreeFile& file = tree_.files[files_[next_]];
    if (!open_.valid()) {
      if (absl::Status status = Open(file); !status.ok()) return Named(file.path, status);
    }
    v1::ConfigFile* const part = request->add_files();
    part->set_path(file.path);
    part->set_size_bytes(size_bytes_);
    part->set_content_offset(offset_);
    if (absl::Status status = ReadPart(room, part); !status.ok()) return Named(file.path, status);
    offset_ += static_cast<int64_t>(part->content().size());
    room -= std::min(room, part->content().size() + file.path.size() + kFileOverhead);
    if (offset_ < size_bytes_) continue;
    open_.Reset();
    offset_ = 0;
    ++next_;
  }
  return true;
}

absl::Status CandidateUpload::Open(const TreeFile& file) {
  const auto entry = OpenListed(file_system_, tree_, file);
  if (!entry.ok()) return entry.status();
  // Known to be a regular file before it is opened: opening some devices has effects.
  const auto stat = file_system_->Stat((*entry)->get());
  if (!stat.ok()) return stat.status();
  if (stat->kind != FileKind::kRegular) {
    return absl::AbortedError("it was replaced while the files were read: try again");
  }
  auto fd = file_system_->OpenForReading((*entry)->get());
  if (!fd.ok()) return fd.status();
  open_ = *std::move(fd);
  size_bytes_ = stat->size_bytes;
  return absl::OkStatus();
}

absl::Status CandidateUpload::ReadPart(size_t room, v1::ConfigFile* part) {
  std::string& content = *part->mutable_content();
  content.resize(std::min(room, static_cast<size_t>(size_bytes_ - offset_)));
  size_t have = 0;
  while (have < content.size()) {
    const auto got = file_system_->ReadAt(open_.get(), content.data() + have, content.size() - have,
                                          offset_ + static_cast<int64_t>(have));
    if (!got.ok()) return got.status();
    if (*got == 0) return absl::AbortedError("it shrank while it was read: try again");
    have += *got;
  }
  return absl::OkStatus();
}

}  // namespace confstream
