#include "server/serve/queued_call.h"

namespace confstream {

CompletionTag* QueuedCall::CallTag() {
  until_done_ = shared_from_this();
  context_.AsyncNotifyWhenDone(&done_tag_);
  return &call_tag_;
}

CompletionTag* QueuedCall::OperationTag() {
  until_operation_ended_ = shared_from_this();
  return &operation_tag_;
}

void QueuedCall::DoOn(WorkerPool* threads, std::function<absl::Status()> work,
                      std::function<void(const absl::Status&)> then) {
  threads->Submit(
      [this, self = shared_from_this(), work = std::move(work), then = std::move(then)] {
        // Whoever has given up while the call waited for its turn does not expect it to be done.
        then(left_ ? absl::CancelledError("the caller has left") : work());
      });
}

void QueuedCall::CallCame(bool ok) {
  if (ok) {
    OnCall();
  } else {
    // The server is shutting down: there is no call, nor will it be done. May be the last owner.
    const std::shared_ptr<QueuedCall> self = std::move(until_done_);
  }
}

void QueuedCall::OperationEnded(bool ok) {
  const std::shared_ptr<QueuedCall> self = std::move(until_operation_ended_);
  OnOperation(ok);
}

void QueuedCall::CallDone(bool /*ok*/) {
  const std::shared_ptr<QueuedCall> self = std::move(until_done_);
  if (context_.IsCancelled()) left_ = true;
  OnDone();
}

}  // namespace confstream
