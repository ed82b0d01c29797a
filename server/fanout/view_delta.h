// What changed in a view between two versions.

#ifndef CONFSTREAM_SERVER_FANOUT_VIEW_DELTA_H_
#define CONFSTREAM_SERVER_FANOUT_VIEW_DELTA_H_

#include <cstdint>
#include <string>
#include <vector>

#include "server/fanout/view.h"
#include "server/fanout/view_message.h"
#include "server/fanout/view_snapshot.h"
#include "server/snapshot/snapshot.h"

namespace confstream {

// Holds the changed files only, neither of the snapshots. Immutable.
class ViewDelta final : public ViewMessage {
 public:
  // From `base` to `target`, which is a snapshot of `view`. `base_version` is what the client calls
  // the base: it may be another version whose view is the same.
  ViewDelta(const Snapshot& base, int64_t base_version, const ViewSnapshot& target,
            const View& view);

  // True if fewer bytes are sent this way than with `target` as a whole, which is what this leads
  // to.
  bool IsSmallerThan(const ViewSnapshot& target) const;

 private:
  void FillEvent(const Fragment& fragment, bool last, v1::WatchResponse* response) const override;

  const int64_t base_version_;
  std::vector<SnapshotFile> changed_files_;
  std::vector<std::string> removed_paths_;
  std::vector<std::string> missing_globs_;  // after the delta was applied
};

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_FANOUT_VIEW_DELTA_H_
