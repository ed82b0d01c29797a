#include "server/serve/candidate_files.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "server/base/text.h"
#include "server/serve/watch_request.h"

namespace confstream {
namespace {

std::string Shown(const std::string& path) {
  return absl::StrCat("`", EscapeForDisplay(path.substr(0, 200)), "`");
}

// As long as Linux takes a path (PATH_MAX).
constexpr size_t kMaxPathBytes = 4096;

bool IsRelativeFilePath(const std::string& path) {
  if (path.size() > kMaxPathBytes) return false;
  const std::vector<std::string> components = absl::StrSplit(path, '/');
  return std::none_of(components.begin(), components.end(), [](const std::string& component) {
    return component.empty() || component == "." || component == "..";
  });
}

}  // namespace

absl::Status CandidateFiles::Take(const v1::ConfigFile& part) {
  const std::string& path = part.path();
  const auto length = static_cast<int64_t>(part.content().size());
  const bool continues = !open_path_.empty();
  if (!IsRelativeFilePath(path)) {
    return InvalidRequest(absl::StrCat("path ", Shown(path),
                                       " cannot be that of a file: send it "
                                       "relative to the source, without `.` and `..`, and with at "
                                       "most 4096 bytes"));
  }
  if (continues && (path != open_path_ || part.content_offset() != received_)) {
    return InvalidRequest(absl::StrCat("file ", Shown(open_path_), " is not whole: ", received_,
                                       " of ", sizes_[open_path_],
                                       " bytes had come when another part was sent"));
  }
  if (!continues) {
    const bool split = part.size_bytes() > length;
    if (part.content_offset() != 0) {
      return InvalidRequest(absl::StrCat("file ", Shown(path), " begins at offset ",
                                         part.content_offset(), ": send its first part first"));
    }
    if (!sizes_.emplace(path, split ? part.size_bytes() : length).second) {
      return InvalidRequest(absl::StrCat("file ", Shown(path), " is there twice: send it once"));
    }
    if (static_cast<int64_t>(sizes_.size()) > 2 * config_.limits.max_files + 1000) {
      return InvalidRequest(absl::StrCat("more than ", sizes_.size() - 1,
                                         " files were sent, and limits.max_files of the source is ",
                                         config_.limits.max_files));
    }
    received_ = 0;
    if (split) open_path_ = path;
    if (settings_.Includes(path)) files_[path];
  }
  received_ += length;
  const auto kept = files_.find(path);
  total_bytes_ += kept != files_.end() ? length : 0;
  const int64_t size = sizes_[path];
  if (received_ > size) {
    return InvalidRequest(absl::StrCat("file ", Shown(path), " has more than the ", size,
                                       " bytes that its first part announced"));
  }
  if (received_ == size) open_path_.clear();
  // What cannot be accepted any more need not be kept.
  const SourceLimits& limits = config_.limits;
  const bool within = size <= limits.max_file_bytes && total_bytes_ <= limits.max_total_bytes &&
                      static_cast<int64_t>(files_.size()) <= limits.max_files;
  if (kept == files_.end()) return absl::OkStatus();
  if (within) {
    kept->second += part.content();
  } else {
    kept->second.clear();
    kept->second.shrink_to_fit();
  }
  return absl::OkStatus();
}

absl::Status CandidateFiles::Finish(Generation* generation, std::vector<Violation>* violations) {
  if (!open_path_.empty()) {
    return InvalidRequest(absl::StrCat("file ", Shown(open_path_), " is not whole: ", received_,
                                       " of ", sizes_[open_path_], " bytes were sent"));
  }
  for (const auto& [path, content] : files_) settings_.Add(path, sizes_.at(path));
  *violations = settings_.Violations();
  if (files_.empty() && !config_.allow_empty) {
    violations->push_back({"", 0, 0, "source.empty",
                           "there are no files, which is taken for a mistake: add files or set "
                           "allow_empty"});
  }
  if (!violations->empty()) return absl::OkStatus();
  for (auto& [path, content] : files_) {
    const Sha256 digest = Sha256::Of(content);
    auto whole = std::make_shared<const FileContent>(FileContent{std::move(content), digest});
    generation->files.push_back({path, std::move(whole)});
  }
  return absl::OkStatus();
}

}  // namespace confstream
