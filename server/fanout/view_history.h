// The versions before the newest as the streams of one view need them: as what a delta is made
// against, and one after the other.

#ifndef CONFSTREAM_SERVER_FANOUT_VIEW_HISTORY_H_
#define CONFSTREAM_SERVER_FANOUT_VIEW_HISTORY_H_

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <tuple>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/base/mutex.h"
#include "server/fanout/resume_token.h"
#include "server/fanout/shared_cache.h"
#include "server/fanout/view.h"
#include "server/fanout/view_message.h"
#include "server/fanout/view_snapshot.h"
#include "server/fanout/view_state.h"

namespace confstream {

// A retained version in which the view changed.
struct ViewChange {
  int64_t version;
  absl::Time publish_time;
};

// Reads what the source retains, and shares what it made of it. `newest` is a state of the view
// that has a snapshot; versions newer than that are not looked at. Thread-safe.
class ViewHistory {
 public:
  explicit ViewHistory(View view) : view_(std::move(view)) {}

  // Remembers a view that was the newest until now: most streams stand there, and are to be sent
  // deltas against it.
  void Keep(std::shared_ptr<const ViewSnapshot> view);

  // How `target` is sent to a stream whose client holds what `held` says: as a delta, if the held
  // files can still be had and the delta is smaller; otherwise as it is.
  std::shared_ptr<const ViewMessage> UpdateFrom(const ViewState& newest, const ResumeToken& held,
                                                const std::shared_ptr<const ViewSnapshot>& target);

  // Where a client that wants every version stands by its token. OUT_OF_RANGE: it is not known that
  // nothing is missing after it.
  absl::StatusOr<std::shared_ptr<const ViewRun>> Resume(const ViewState& newest,
                                                        const std::optional<ResumeToken>& token);

  // The first version after `run`, so the next that has another view. RESOURCE_EXHAUSTED: it is no
  // longer retained. REQUIRES: `run` is not that of the newest version.
  absl::StatusOr<std::shared_ptr<const ViewSnapshot>> Next(const ViewState& newest,
                                                           const ViewRun& run);

  // Oldest first; the first version that is retained counts.
  std::shared_ptr<const std::vector<ViewChange>> Changes(const ViewState& newest);

 private:
  // The views that are kept whatever becomes of the source's history: as few as serve the streams
  // that keep up.
  static constexpr size_t kKept = 2;
  // Other views and deltas, while they are in use by many.
  static constexpr size_t kShared = 4;

  bool Differ(const Snapshot& a, const Snapshot& b) const;
  std::shared_ptr<const ViewSnapshot> ViewOf(const ViewState& newest,
                                             std::shared_ptr<const Snapshot> snapshot);
  std::shared_ptr<ViewRun> RunFrom(const ViewState& newest,
                                   std::shared_ptr<const Snapshot> snapshot) const;
  std::shared_ptr<const ViewSnapshot> FindHeld(const ViewState& newest, const ResumeToken& held);

  // Version and view digest of the base, and ViewMessage::id of the target.
  using DeltaKey = std::tuple<int64_t, Sha256, uint64_t>;

  const View view_;
  SharedCache<int64_t, ViewSnapshot> views_{kShared};    // by version
  SharedCache<DeltaKey, ViewMessage> updates_{kShared};  // a snapshot where a delta is not smaller

  Mutex mu_;
  std::deque<std::shared_ptr<const ViewSnapshot>> kept_ ABSL_GUARDED_BY(mu_);  // newest first
  int64_t changes_up_to_ ABSL_GUARDED_BY(mu_) = 0;  // the newest version of changes_
  std::shared_ptr<const std::vector<ViewChange>> changes_ ABSL_GUARDED_BY(mu_);
};

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_FANOUT_VIEW_HISTORY_H_
