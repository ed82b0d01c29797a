#include "server/fanout/view_topic.h"

#include <utility>

namespace confstream {

std::shared_ptr<const ViewState> ViewTopic::state() const {
  MutexLock lock(&mu_);
  return state_;
}

void ViewTopic::SetState(ViewState state) {
  MutexLock lock(&mu_);
  // Under the lock, so that whoever sees the new state sees where the run before it ended.
  if (state.view != nullptr) {
    if (state.position->run == state_->position->run) {
      state.position->run->Extend(state.position->token.version);
    } else {
      state_->position->run->End(state.view->snapshot()->publish_time);
      if (state_->view != nullptr) history_.Keep(state_->view);
    }
  }
  state.end = state_->end;
  state_ = std::make_shared<const ViewState>(std::move(state));
}

void ViewTopic::End(const absl::Status& status) {
  MutexLock lock(&mu_);
  if (state_->end.has_value()) return;
  auto ended = std::make_shared<ViewState>(*state_);
  ended->end = status;
  state_ = std::move(ended);
}

}  // namespace confstream
