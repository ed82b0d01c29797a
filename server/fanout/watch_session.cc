#include "server/fanout/watch_session.h"

#include <algorithm>
#include <utility>

namespace confstream {

WatchSession::WatchSession(WatchSpec spec, std::shared_ptr<Watcher> watcher,
                           std::shared_ptr<ViewTopic> topic, MessageCache* cache)
    : spec_(std::move(spec)),
      watcher_(std::move(watcher)),
      topic_(std::move(topic)),
      cache_(cache) {}

std::optional<OutgoingMessage> WatchSession::Next(Instant now) {
  if (sending_ != nullptr) return NextFragment(now);
  if (end_.has_value()) return std::nullopt;
  const std::shared_ptr<const ViewState> newest = topic_->state();
  const ViewState& state = *newest;
  if (state.end.has_value()) {
    end_ = state.end;
    return std::nullopt;
  }
  // A version in which the view did not change needs no message: the next one of any kind tells its
  // number.
  if (complete_ != state.position && InSync(state)) Complete(state.position);
  if (!settled_ && state.view != nullptr) return Settle(state, now);
  const bool owes_status =
      told_status_.has_value() ? *told_status_ != state.status->number : !state.status->ordinary;
  if (owes_status) return Status(state, now);
  update_waits_ = settled_ && state.view != nullptr && !InSync(state);
  if (update_waits_ && now >= last_content_ + spec_.min_update_interval) {
    return Update(state, *complete_->run, now);
  }
  if (first_sent_ && now >= last_message_ + spec_.heartbeat_interval) {
    return Heartbeat(state, settled_ && InSync(state), now);
  }
  return std::nullopt;
}

Instant WatchSession::NextDue() const {
  if (end_.has_value() || !first_sent_) return Instant::Infinite();
  const Instant heartbeat = last_message_ + spec_.heartbeat_interval;
  if (!update_waits_) return heartbeat;
  return std::min(heartbeat, last_content_ + spec_.min_update_interval);
}

std::optional<OutgoingMessage> WatchSession::Settle(const ViewState& state, Instant now) {
  settled_ = true;
  const ViewPosition& current = *state.position;
  last_change_number_ = current.change_number - 1;
  if (!spec_.resumes) return Begin(state, state.view, v1::WATCH_REASON_INITIAL, now);

  const std::optional<ResumeToken>& token = spec_.token;
  const bool same_view = token.has_value() && token->SameView(current.token);
  bool is_current = same_view && token->view_digest == current.view_digest();
  absl::StatusOr<std::shared_ptr<const ViewRun>> run = nullptr;
  if (spec_.every_version) {
    run = topic_->history().Resume(state, token);
    if (!run.ok()) {
      end_ = run.status();
      return std::nullopt;
    }
    is_current = *run == current.run;
  }
  if (same_view) held_ = token;
  if (is_current) {
    last_change_number_ = current.change_number;
    Complete(state.position);
    return Heartbeat(state, true, now);
  }
  if (spec_.every_version) return Update(state, **run, now);
  const bool older = same_view && token->epoch == current.token.epoch && token->version > 0 &&
                     token->version < current.token.version;
  return Begin(state, state.view, older ? v1::WATCH_REASON_UPDATE : v1::WATCH_REASON_RESYNC, now);
}

std::optional<OutgoingMessage> WatchSession::Update(const ViewState& state, const ViewRun& run,
                                                    Instant now) {
  if (!spec_.every_version) return Begin(state, state.view, v1::WATCH_REASON_UPDATE, now);
  const auto next = topic_->history().Next(state, run);
  if (!next.ok()) {
    end_ = next.status();
    return std::nullopt;
  }
  return Begin(state, *next, v1::WATCH_REASON_UPDATE, now);
}

OutgoingMessage WatchSession::Begin(const ViewState& state,
                                    const std::shared_ptr<const ViewSnapshot>& target,
                                    v1::WatchReason reason, Instant now) {
  if (!spec_.every_version) {
    const int64_t change_number = target->position()->change_number;
    skipped_versions_ = std::max<int64_t>(0, change_number - last_change_number_ - 1);
    last_change_number_ = change_number;
  }
  sending_ = target;
  if (spec_.deltas && held_.has_value() && reason == v1::WATCH_REASON_UPDATE) {
    sending_ = topic_->history().UpdateFrom(state, *held_, target);
  }
  reason_ = reason;
  next_fragment_ = 0;
  last_content_ = now;
  update_waits_ = false;
  return NextFragment(now);
}

OutgoingMessage WatchSession::NextFragment(Instant now) {
  const std::shared_ptr<const ViewMessage> content = sending_;
  const size_t index = next_fragment_++;
  const bool last = next_fragment_ == content->fragment_count();
  v1::WatchResponse own;
  own.set_reason(reason_);
  if (index == 0) own.set_skipped_versions(skipped_versions_);
  if (last) {
    sending_.reset();
    Complete(content->position());
    held_ = complete_->token;
    own.set_in_sync(InSync(*topic_->state()));
  }
  OutgoingMessage message = Compose(std::move(own), now);
  message.shared.push_back(cache_->Fragment(content, index));
  return message;
}

OutgoingMessage WatchSession::Heartbeat(const ViewState& state, bool in_sync, Instant now) {
  v1::WatchResponse own;
  own.set_in_sync(in_sync);
  own.mutable_heartbeat();
  OutgoingMessage message = Compose(std::move(own), now);
  AddHeader(state, &message);
  return message;
}

OutgoingMessage WatchSession::Status(const ViewState& state, Instant now) {
  told_status_ = state.status->number;
  v1::WatchResponse own;
  own.set_in_sync(settled_ && InSync(state));
  OutgoingMessage message = Compose(std::move(own), now);
  AddHeader(state, &message);
  message.shared.emplace_back(state.status, &state.status->message);
  return message;
}

void WatchSession::AddHeader(const ViewState& state, OutgoingMessage* message) {
  if (complete_ != nullptr) held_ = complete_->token;
  const std::shared_ptr<const ViewPosition> position =
      complete_ != nullptr ? complete_
                           : PositionBeforeFirst(topic_->source(), state.position->token.epoch);
  // The header's bytes belong to the position, and live as long as it does.
  message->shared.emplace_back(position, &position->header);
}

OutgoingMessage WatchSession::Compose(v1::WatchResponse own, Instant now) {
  if (!first_sent_) own.set_watch_id(watch_id());
  first_sent_ = true;
  last_message_ = now;
  if (own.in_sync() && spec_.until_in_sync) end_ = absl::OkStatus();
  return {own.SerializeAsString(), {}};
}

void WatchSession::Complete(std::shared_ptr<const ViewPosition> position) {
  complete_ = std::move(position);
  watcher_->NoteComplete(complete_);
}

bool WatchSession::InSync(const ViewState& state) const {
  return complete_ != nullptr && state.view != nullptr &&
         complete_->IsUpToDateWith(*state.position, spec_.every_version);
}

}  // namespace confstream
