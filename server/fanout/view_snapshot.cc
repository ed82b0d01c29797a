#include "server/fanout/view_snapshot.h"

#include <utility>

#include "server/fanout/messages.h"

namespace confstream {

ViewSnapshot::ViewSnapshot(std::shared_ptr<const Snapshot> snapshot, const View& view,
                           const ViewSnapshot* before)
    : snapshot_(std::move(snapshot)) {
  const Sha256 digest = Select(view);
  const ViewPosition* last = before == nullptr ? nullptr : before->position().get();
  if (last != nullptr && last->view_digest() == digest) {
    SetPosition(digest, view, last->change_number, last->run);
  } else {
    SetPosition(digest, view, last == nullptr ? 1 : last->change_number + 1,
                std::make_shared<ViewRun>(snapshot_->version));
  }
}

ViewSnapshot::ViewSnapshot(std::shared_ptr<const Snapshot> snapshot, const View& view,
                           std::shared_ptr<ViewRun> run)
    : snapshot_(std::move(snapshot)) {
  SetPosition(Select(view), view, 0, std::move(run));
}

Sha256 ViewSnapshot::Select(const View& view) {
  std::vector<char> matched(view.globs().size(), 0);
  // Of all files the digest is known.
  const bool all = view.globs().empty();
  if (all) files_.reserve(snapshot_->files.size());
  TreeDigest digest;
  FragmentCutter cutter;
  for (const SnapshotFile& file : snapshot_->files) {
    if (!view.Selects(file.path, &matched)) continue;
    files_.push_back(&file);
    size_bytes_ += static_cast<int64_t>(file.content->bytes.size());
    if (!all) digest.Add(file.path, file.content->digest);
    cutter.AddFile(file);
  }
  for (size_t i = 0; i < matched.size(); ++i) {
    if (!matched[i]) missing_globs_.push_back(view.globs()[i].pattern());
  }
  fragments_ = cutter.Finish();
  return all ? snapshot_->digest : digest.Finish();
}

void ViewSnapshot::SetPosition(const Sha256& view_digest, const View& view, int64_t change_number,
                               std::shared_ptr<ViewRun> run) {
  auto position = std::make_shared<ViewPosition>();
  position->token = {snapshot_->epoch, snapshot_->version, view_digest,
                     view.HashFor(snapshot_->source)};
  position->change_number = change_number;
  position->run = std::move(run);
  v1::WatchResponse response;
  FillHeader(*snapshot_, position->token, response.mutable_header());
  position->header = response.SerializeAsString();
  position_ = std::move(position);
}

void ViewSnapshot::FillEvent(const Fragment& fragment, bool last,
                             v1::WatchResponse* response) const {
  v1::Snapshot* message = response->mutable_snapshot();
  message->set_view_digest(position_->view_digest().Text());
  FillPieces(fragment.files, message->mutable_files());
  if (!last) return;
  message->mutable_missing_globs()->Assign(missing_globs_.begin(), missing_globs_.end());
}

}  // namespace confstream
