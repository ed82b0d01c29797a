#include "server/history/versioned_files.h"

#include <algorithm>
#include <utility>

namespace confstream {

std::shared_ptr<const FileContent> VersionedFiles::Put(int64_t version, const std::string& path,
                                                       std::shared_ptr<const FileContent> content) {
  Held& held = contents_[content->digest];
  if (held.content == nullptr) held.content = std::move(content);
  std::shared_ptr<const FileContent> kept = held.content;
  Count(kept->digest, 1, 0);
  std::deque<FileInterval>& intervals = intervals_[path];
  if (!intervals.empty() && intervals.back().to == FileInterval::kOpen) {
    Close(version, path, &intervals.back());
  }
  intervals.push_back({version, FileInterval::kOpen, kept});
  return kept;
}

void VersionedFiles::Remove(int64_t version, const std::string& path) {
  Close(version, path, &intervals_.at(path).back());
}

void VersionedFiles::Close(int64_t version, const std::string& path, FileInterval* interval) {
  interval->to = version;
  closed_.push_back({version, path});
  Count(interval->content->digest, -1, 1);
}

void VersionedFiles::Count(const Sha256& digest, int64_t open, int64_t closed) {
  const auto found = contents_.find(digest);
  Held& held = found->second;
  const auto size = static_cast<int64_t>(held.content->bytes.size());
  if (held.open == 0 && held.closed > 0) superseded_bytes_ -= size;
  held.open += open;
  held.closed += closed;
  if (held.open == 0 && held.closed > 0) superseded_bytes_ += size;
  if (held.open == 0 && held.closed == 0) contents_.erase(found);
}

std::vector<SnapshotFile> VersionedFiles::At(int64_t version) const {
  std::vector<SnapshotFile> files;
  for (const auto& [path, intervals] : intervals_) {
    // The last one that begins at or before the version.
    auto next = std::upper_bound(
        intervals.begin(), intervals.end(), version,
        [](int64_t at, const FileInterval& interval) { return at < interval.from; });
    if (next == intervals.begin()) continue;
    --next;
    if (version < next->to) files.push_back({path, next->content, next->from});
  }
  return files;
}

void VersionedFiles::DropBefore(int64_t oldest) {
  while (!closed_.empty() && closed_.front().to <= oldest) {
    const auto found = intervals_.find(closed_.front().path);
    Count(found->second.front().content->digest, 0, -1);
    found->second.pop_front();
    if (found->second.empty()) intervals_.erase(found);
    closed_.pop_front();
  }
}

void VersionedFiles::Restore(const std::string& path, FileInterval interval) {
  Held& held = contents_[interval.content->digest];
  if (held.content == nullptr) held.content = interval.content;
  interval.content = held.content;
  const bool open = interval.to == FileInterval::kOpen;
  Count(interval.content->digest, open ? 1 : 0, open ? 0 : 1);
  if (!open) closed_.push_back({interval.to, path});
  intervals_[path].push_back(std::move(interval));
}

void VersionedFiles::FinishRestoring() {
  std::stable_sort(closed_.begin(), closed_.end(),
                   [](const Closed& a, const Closed& b) { return a.to < b.to; });
}

}  // namespace confstream
