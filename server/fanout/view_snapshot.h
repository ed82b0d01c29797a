// The part of a snapshot that a view selects.

#ifndef CONFSTREAM_SERVER_FANOUT_VIEW_SNAPSHOT_H_
#define CONFSTREAM_SERVER_FANOUT_VIEW_SNAPSHOT_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "server/fanout/view.h"
#include "server/fanout/view_message.h"
#include "server/snapshot/snapshot.h"

namespace confstream {

// Immutable, shared by all streams of the view.
class ViewSnapshot final : public ViewMessage {
 public:
  // `before`, which may be null, is the view of the version published before: position() carries on
  // its change number, and its run if the digests are equal.
  ViewSnapshot(std::shared_ptr<const Snapshot> snapshot, const View& view,
               const ViewSnapshot* before);
  // A version published before anybody watched, which is part of `run`.
  ViewSnapshot(std::shared_ptr<const Snapshot> snapshot, const View& view,
               std::shared_ptr<ViewRun> run);

  const std::shared_ptr<const Snapshot>& snapshot() const { return snapshot_; }
  const std::vector<const SnapshotFile*>& files() const { return files_; }
  const std::vector<std::string>& missing_globs() const { return missing_globs_; }
  // Sum of the sizes of files().
  int64_t size_bytes() const { return size_bytes_; }

 private:
  // Selects the files; everything but position_. Returns the digest of the view.
  Sha256 Select(const View& view);
  void SetPosition(const Sha256& view_digest, const View& view, int64_t change_number,
                   std::shared_ptr<ViewRun> run);
  void FillEvent(const Fragment& fragment, bool last, v1::WatchResponse* response) const override;

  const std::shared_ptr<const Snapshot> snapshot_;
  std::vector<const SnapshotFile*> files_;  // of snapshot_
  std::vector<std::string> missing_globs_;
  int64_t size_bytes_ = 0;
};

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_FANOUT_VIEW_SNAPSHOT_H_
