#include "server/fanout/view_topic.h"

#include <utility>

namespace confstream {

ViewState ViewTopic::state() const {
  MutexLock lock(&mu_);
  return state_;
}

void ViewTopic::SetState(ViewState state) {
  MutexLock lock(&mu_);
  // Under the lock, so that whoever sees the new state sees where the run before it ended.
  if (state.view != nullptr) {
    if (state.position->run == state_.position->run) {
      state.position->run->Extend(state.position->token.version);
    } else {
      state_.position->run->End(state.view->snapshot()->publish_time);
      if (state_.view != nullptr) history_.Keep(std::move(state_.view));
    }
  }
  state.end = std::move(state_.end);
  state_ = std::move(state);
}

void ViewTopic::End(const absl::Status& status) {
  MutexLock lock(&mu_);
  if (!state_.end.has_value()) state_.end = status;
}

void ViewTopic::Subscribe(const std::shared_ptr<Subscriber>& subscriber) {
  MutexLock lock(&mu_);
  subscribers_.Add(subscriber);
}

void ViewTopic::Unsubscribe(const Subscriber* subscriber) {
  MutexLock lock(&mu_);
  subscribers_.Remove(subscriber);
}

bool ViewTopic::HasSubscribers() const {
  MutexLock lock(&mu_);
  return !subscribers_.empty();
}

std::vector<std::shared_ptr<Subscriber>> ViewTopic::Subscribers() const {
  MutexLock lock(&mu_);
  return subscribers_.Living();
}

}  // namespace confstream
