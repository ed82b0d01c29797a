// Gives validated generations their versions.

#ifndef CONFSTREAM_SERVER_HISTORY_SNAPSHOT_STORE_H_
#define CONFSTREAM_SERVER_HISTORY_SNAPSHOT_STORE_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/time/time.h"
#include "server/snapshot/snapshot.h"

namespace confstream {

// A new epoch: 128 random bits as 32 hex digits.
std::string NewEpoch();

// The version history of one source, in memory: the newest snapshot, in an epoch of this process.
// Thread-compatible: one worker at a time uses it.
class SnapshotStore {
 public:
  SnapshotStore(std::string source, std::string epoch)
      : source_(std::move(source)), epoch_(std::move(epoch)) {}

  // The newest snapshot; null if there is none yet.
  const std::shared_ptr<const Snapshot>& latest() const { return latest_; }
  const std::string& epoch() const { return epoch_; }

  // Makes `generation` the newest snapshot, under the next version. REQUIRES: it was validated,
  // `digest` is its tree digest and differs from that of latest().
  const std::shared_ptr<const Snapshot>& Append(Generation generation, const Sha256& digest,
                                                absl::Time publish_time);

 private:
  const std::string source_;
  const std::string epoch_;
  int64_t last_version_ = 0;
  std::shared_ptr<const Snapshot> latest_;
};

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_HISTORY_SNAPSHOT_STORE_H_
