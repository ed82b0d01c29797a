#include "server/history/snapshot_store.h"

#include <utility>

#include "server/base/random_id.h"

namespace confstream {

std::string NewEpoch() { return RandomId(); }

const std::shared_ptr<const Snapshot>& SnapshotStore::Append(Generation generation,
                                                             const Sha256& digest,
                                                             absl::Time publish_time) {
  auto next = std::make_shared<Snapshot>();
  next->source = source_;
  next->epoch = epoch_;
  next->version = ++last_version_;
  next->digest = digest;
  next->publish_time = publish_time;
  next->files.reserve(generation.files.size());
  // Both lists are in byte order of paths: one walk over both finds what each file was before.
  static const std::vector<SnapshotFile> kNone;
  const std::vector<SnapshotFile>& old = latest_ == nullptr ? kNone : latest_->files;
  auto before = old.begin();
  for (GenerationFile& file : generation.files) {
    while (before != old.end() && before->path < file.path) ++before;
    const bool unchanged = before != old.end() && before->path == file.path &&
                           before->content->digest == file.content->digest;
    const int64_t changed = unchanged ? before->last_changed_version : next->version;
    next->files.push_back({std::move(file.path), std::move(file.content), changed});
  }
  latest_ = std::move(next);
  return latest_;
}

}  // namespace confstream
