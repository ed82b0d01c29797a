// One open stream as operators see it.

#ifndef CONFSTREAM_SERVER_FANOUT_WATCHER_H_
#define CONFSTREAM_SERVER_FANOUT_WATCHER_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "confstream/v1/admin_service.pb.h"
#include "server/base/mutex.h"
#include "server/fanout/view_position.h"
#include "server/fanout/view_topic.h"
#include "server/fanout/watch_spec.h"

namespace confstream {

// Who watches is fixed when the stream is opened; how far it is, its session notes. Thread-safe.
class Watcher {
 public:
  static constexpr size_t kMaxReasonBytes = 1024;

  Watcher(std::string watch_id, const WatchSpec& spec, std::shared_ptr<ViewTopic> topic,
          absl::Time open_time);

  const std::string& watch_id() const { return watch_id_; }
  const std::string& source() const { return topic_->source(); }
  const std::string& client_id() const { return client_id_; }

  // The stream was sent everything up to `position`.
  void NoteComplete(std::shared_ptr<const ViewPosition> position);

  // Takes what the client says became of `version`. True: a rejection that it did not report
  // before. INVALID_ARGUMENT: the stream was not sent that version, there is no outcome, or
  // `reason` has more than kMaxReasonBytes.
  absl::StatusOr<bool> NoteOutcome(int64_t version, v1::Outcome outcome, absl::string_view reason,
                                   absl::Time now);

  // Compares with what there is to be sent by now. May take as long as comparing the retained
  // versions of the source takes.
  v1::Watcher Describe() const;

 private:
  // Versions behind, and since when.
  void DescribeLag(const ViewState& newest, const ViewPosition* complete,
                   v1::Watcher* message) const;

  const std::string watch_id_;
  const std::string client_id_;
  const std::map<std::string, std::string> labels_;
  const std::string peer_;
  const bool deltas_;
  const bool every_version_;
  const absl::Time open_time_;
  const std::shared_ptr<ViewTopic> topic_;

  mutable Mutex mu_;
  std::shared_ptr<const ViewPosition> complete_ ABSL_GUARDED_BY(mu_);  // null: nothing yet
  std::optional<v1::OutcomeReport> last_report_ ABSL_GUARDED_BY(mu_);
  std::optional<v1::OutcomeReport> last_rejection_ ABSL_GUARDED_BY(mu_);
};

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_FANOUT_WATCHER_H_
