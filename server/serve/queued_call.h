// A call on a CallQueue, from the moment that it is waited for until gRPC is done with it.

#ifndef CONFSTREAM_SERVER_SERVE_QUEUED_CALL_H_
#define CONFSTREAM_SERVER_SERVE_QUEUED_CALL_H_

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <functional>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "server/base/worker_pool.h"
#include "server/serve/call_queue.h"

namespace confstream {

// Owns itself while gRPC has a tag of it; whoever works for it elsewhere holds it, too. What gRPC
// answers comes on the queue's thread; one operation at a time may be begun, on any thread.
class QueuedCall : public std::enable_shared_from_this<QueuedCall> {
 public:
  virtual ~QueuedCall() = default;
  QueuedCall(const QueuedCall&) = delete;
  QueuedCall& operator=(const QueuedCall&) = delete;

 protected:
  explicit QueuedCall(std::shared_ptr<CallQueue> queue) : queue_(std::move(queue)) {}

  const std::shared_ptr<CallQueue>& queue() const { return queue_; }
  grpc::ServerContext* context() { return &context_; }

  // Tags, each for the next operation of its kind.
  CompletionTag* CallTag();
  CompletionTag* OperationTag();

  // True once the caller has left: it awaits nothing any more.
  bool left() const { return left_; }

  // Does `work` on one of `threads` unless the caller has left by then, and hands on what came of
  // it.
  void DoOn(WorkerPool* threads, std::function<absl::Status()> work,
            std::function<void(const absl::Status&)> then);

 private:
  // There is a call: wait for the next one, then serve this.
  virtual void OnCall() = 0;
  virtual void OnOperation(bool ok) = 0;
  // The caller has left, or everything was sent to it.
  virtual void OnDone() {}

  void CallCame(bool ok);
  void OperationEnded(bool ok);
  void CallDone(bool ok);

  const std::shared_ptr<CallQueue> queue_;
  grpc::ServerContext context_;
  MethodTag<QueuedCall, &QueuedCall::CallCame> call_tag_{this};
  MethodTag<QueuedCall, &QueuedCall::OperationEnded> operation_tag_{this};
  MethodTag<QueuedCall, &QueuedCall::CallDone> done_tag_{this};
  std::atomic<bool> left_{false};

  // This, while gRPC has the tags.
  std::shared_ptr<QueuedCall> until_done_;
  std::shared_ptr<QueuedCall> until_operation_ended_;
};

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_SERVE_QUEUED_CALL_H_
