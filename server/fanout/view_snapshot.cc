#include "server/fanout/view_snapshot.h"

#include <algorithm>
#include <atomic>
#include <utility>

#include "server/fanout/messages.h"

namespace confstream {
namespace {

// What an entry costs beside its content, generously: path aside, digest, numbers and tags.
constexpr int64_t kEntryOverheadBytes = 256;

uint64_t NextId() {
  static std::atomic<uint64_t> next{1};
  return next.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace

ViewSnapshot::ViewSnapshot(std::shared_ptr<const Snapshot> snapshot, const View& view,
                           const ViewSnapshot* before)
    : snapshot_(std::move(snapshot)), id_(NextId()) {
  std::vector<char> matched(view.globs().size(), 0);
  TreeDigest digest;
  for (const SnapshotFile& file : snapshot_->files) {
    if (!view.Selects(file.path, &matched)) continue;
    files_.push_back(&file);
    size_bytes_ += static_cast<int64_t>(file.content->bytes.size());
    digest.Add(file.path, file.content->digest);
  }
  for (size_t i = 0; i < matched.size(); ++i) {
    if (!matched[i]) missing_globs_.push_back(view.globs()[i].pattern());
  }
  auto position = std::make_shared<ViewPosition>();
  position->token = {snapshot_->epoch, snapshot_->version, digest.Finish(),
                     view.HashFor(snapshot_->source)};
  position->change_number = 1;
  if (before != nullptr) {
    const bool changed = before->position()->view_digest() != position->view_digest();
    position->change_number = before->position()->change_number + (changed ? 1 : 0);
  }
  v1::WatchResponse response;
  FillHeader(*snapshot_, position->token, response.mutable_header());
  position->header = response.SerializeAsString();
  position_ = std::move(position);
  CutIntoFragments();
}

void ViewSnapshot::CutIntoFragments() {
  fragments_.emplace_back();
  int64_t room = kFragmentBytes;
  for (size_t i = 0; i < files_.size(); ++i) {
    const auto size = static_cast<int64_t>(files_[i]->content->bytes.size());
    const int64_t overhead = kEntryOverheadBytes + static_cast<int64_t>(files_[i]->path.size());
    int64_t offset = 0;
    do {
      // A file that fits into a fresh fragment is not split.
      const bool fits = overhead + (size - offset) <= room;
      const bool would_fit_fresh = overhead + (size - offset) <= kFragmentBytes;
      if (!fits && room < kFragmentBytes && (would_fit_fresh || room < kFragmentBytes / 2)) {
        fragments_.emplace_back();
        room = kFragmentBytes;
      }
      const int64_t length = std::min(size - offset, std::max<int64_t>(room - overhead, 1));
      fragments_.back().push_back({i, offset, length});
      room -= overhead + length;
      offset += length;
    } while (offset < size);
  }
}

std::string ViewSnapshot::EncodeFragment(size_t index) const {
  const bool last = index + 1 == fragments_.size();
  v1::WatchResponse response;
  response.set_more_fragments(!last);
  v1::Snapshot* message = response.mutable_snapshot();
  message->set_view_digest(position_->view_digest().Text());
  for (const Piece& piece : fragments_[index]) {
    const SnapshotFile& file = *files_[piece.file];
    v1::ConfigFile* entry = message->add_files();
    FillFile(file, entry);
    entry->set_content(file.content->bytes.data() + piece.offset,
                       static_cast<size_t>(piece.length));
    entry->set_content_offset(piece.offset);
  }
  if (last) {
    for (const std::string& glob : missing_globs_) message->add_missing_globs(glob);
  }
  return response.SerializeAsString();
}

std::shared_ptr<const ViewPosition> PositionBeforeFirst(const std::string& source,
                                                        const std::string& epoch) {
  auto position = std::make_shared<ViewPosition>();
  v1::WatchResponse response;
  response.mutable_header()->set_source(source);
  response.mutable_header()->set_epoch(epoch);
  position->token.epoch = epoch;
  position->header = response.SerializeAsString();
  return position;
}

}  // namespace confstream
