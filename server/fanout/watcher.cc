#include "server/fanout/watcher.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/error_reason.h"
#include "server/base/text.h"
#include "server/fanout/messages.h"

namespace confstream {
namespace {

absl::Status Invalid(absl::string_view message) {
  return ErrorWithReason(absl::StatusCode::kInvalidArgument, kInvalidRequest, message);
}

}  // namespace

Watcher::Watcher(std::string watch_id, const WatchSpec& spec, std::shared_ptr<ViewTopic> topic,
                 absl::Time open_time)
    : watch_id_(std::move(watch_id)),
      client_id_(spec.client_id),
      labels_(spec.labels),
      peer_(spec.peer),
      deltas_(spec.deltas),
      every_version_(spec.every_version),
      open_time_(open_time),
      topic_(std::move(topic)) {}

void Watcher::NoteComplete(std::shared_ptr<const ViewPosition> position) {
  MutexLock lock(&mu_);
  complete_ = std::move(position);
}

absl::StatusOr<bool> Watcher::NoteOutcome(int64_t version, v1::Outcome outcome,
                                          absl::string_view reason, absl::Time now) {
  if (outcome != v1::OUTCOME_APPLIED && outcome != v1::OUTCOME_REJECTED) {
    return Invalid("outcome is missing or not known to this server: use APPLIED or REJECTED");
  }
  if (reason.size() > kMaxReasonBytes) {
    return Invalid(absl::StrCat("reason is longer than ", kMaxReasonBytes, " bytes: shorten it"));
  }
  v1::OutcomeReport report;
  report.set_version(version);
  report.set_outcome(outcome);
  report.set_reason(EscapeForDisplay(reason));
  FillTime(now, report.mutable_report_time());
  MutexLock lock(&mu_);
  const int64_t sent = complete_ == nullptr ? 0 : complete_->run->last_version();
  if (version < 1 || version > sent) {
    return Invalid(absl::StrCat(
        "version ", version, " was not sent completely on this stream, ",
        sent == 0 ? std::string("nor was any other") : absl::StrCat("which is at version ", sent)));
  }
  const bool rejected = outcome == v1::OUTCOME_REJECTED;
  const bool news =
      rejected && (!last_rejection_.has_value() || last_rejection_->version() != version ||
                   last_rejection_->reason() != report.reason());
  if (rejected) last_rejection_ = report;
  last_report_ = std::move(report);
  return news;
}

v1::Watcher Watcher::Describe() const {
  v1::Watcher message;
  message.set_watch_id(watch_id_);
  message.set_source(source());
  for (const PathGlob& glob : topic_->view().globs()) message.add_path_globs(glob.pattern());
  message.set_client_id(client_id_);
  message.mutable_labels()->insert(labels_.begin(), labels_.end());
  message.set_peer(peer_);
  FillTime(open_time_, message.mutable_open_time());
  message.set_mode(deltas_ ? v1::WATCH_MODE_DELTA : v1::WATCH_MODE_SNAPSHOT);
  message.set_every_version(every_version_);
  std::shared_ptr<const ViewPosition> complete;
  {
    MutexLock lock(&mu_);
    complete = complete_;
    if (last_report_.has_value()) *message.mutable_last_report() = *last_report_;
    if (last_rejection_.has_value()) *message.mutable_last_rejection() = *last_rejection_;
  }
  // After the stream's position, so that the newest is not older.
  const std::shared_ptr<const ViewState> state = topic_->state();
  const ViewState& newest = *state;
  if (complete != nullptr) {
    message.set_version(complete->run->last_version());
    message.set_in_sync(newest.view != nullptr &&
                        complete->IsUpToDateWith(*newest.position, every_version_));
  }
  if (newest.view != nullptr && !message.in_sync()) {
    DescribeLag(newest, complete.get(), &message);
  }
  return message;
}

void Watcher::DescribeLag(const ViewState& newest, const ViewPosition* complete,
                          v1::Watcher* message) const {
  const absl::Time published = newest.view->snapshot()->publish_time;
  int64_t behind = 1;
  absl::Time since = std::max(open_time_, published);
  if (complete != nullptr && every_version_) {
    // It may be on its way through versions from before anybody counted the view's changes.
    const auto changes = topic_->history().Changes(newest);
    const auto first = std::upper_bound(
        changes->begin(), changes->end(), complete->run->last_version(),
        [](int64_t version, const ViewChange& change) { return version < change.version; });
    behind = changes->end() - first;
    since = first == changes->end() ? published : first->publish_time;
  } else if (complete != nullptr) {
    behind = newest.position->change_number - complete->change_number;
    since = complete->run->end_time().value_or(published);
  }
  message->set_versions_behind(std::max<int64_t>(1, behind));
  FillTime(since, message->mutable_behind_since());
}

}  // namespace confstream
