// The part of a snapshot that a view selects, and how it is cut into messages.

#ifndef CONFSTREAM_SERVER_FANOUT_VIEW_SNAPSHOT_H_
#define CONFSTREAM_SERVER_FANOUT_VIEW_SNAPSHOT_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "confstream/v1/config_service.pb.h"
#include "server/fanout/resume_token.h"
#include "server/fanout/view.h"
#include "server/snapshot/snapshot.h"

namespace confstream {

// Where a stream of a view stands: small, so that a stream can remember it without holding the
// files.
struct ViewPosition {
  ResumeToken token;  // epoch, version and digests; version 0: there is no snapshot yet
  int64_t change_number =
      0;               // how many versions that changed the view there were, this one included
  std::string header;  // a serialized WatchResponse with nothing but the header

  const Sha256& view_digest() const { return token.view_digest; }
};

// Immutable, shared by all streams of the view.
class ViewSnapshot {
 public:
  // Fragments have about this many bytes of content at most: well under the 4 MiB that clients
  // accept by default.
  static constexpr int64_t kFragmentBytes = int64_t{1} << 20;

  // `change_number` is for ViewPosition, if the digest is not that of `before`; `before` may be
  // null.
  ViewSnapshot(std::shared_ptr<const Snapshot> snapshot, const View& view,
               const ViewSnapshot* before);

  const std::shared_ptr<const ViewPosition>& position() const { return position_; }
  const Snapshot& snapshot() const { return *snapshot_; }
  const std::vector<const SnapshotFile*>& files() const { return files_; }
  const std::vector<std::string>& missing_globs() const { return missing_globs_; }
  // Sum of the sizes of files().
  int64_t size_bytes() const { return size_bytes_; }
  // Tells this object from every other, for as long as the process lives.
  uint64_t id() const { return id_; }

  size_t fragment_count() const { return fragments_.size(); }
  // A serialized WatchResponse with nothing but the snapshot event and more_fragments.
  std::string EncodeFragment(size_t index) const;

 private:
  struct Piece {
    size_t file;
    int64_t offset;
    int64_t length;
  };

  void CutIntoFragments();

  const std::shared_ptr<const Snapshot> snapshot_;
  const uint64_t id_;
  std::vector<const SnapshotFile*> files_;  // of snapshot_
  std::vector<std::string> missing_globs_;
  int64_t size_bytes_ = 0;
  std::shared_ptr<const ViewPosition> position_;
  std::vector<std::vector<Piece>> fragments_;  // at least one
};

// The position of a view of a source that has no snapshot yet.
std::shared_ptr<const ViewPosition> PositionBeforeFirst(const std::string& source,
                                                        const std::string& epoch);

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_FANOUT_VIEW_SNAPSHOT_H_
