// Where the calls of a gRPC server live: its completion queue, and the thread that serves it.

#ifndef CONFSTREAM_SERVER_SERVE_CALL_QUEUE_H_
#define CONFSTREAM_SERVER_SERVE_CALL_QUEUE_H_

#include <grpcpp/alarm.h>
#include <grpcpp/grpcpp.h>

#include <functional>
#include <map>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "server/base/clock.h"
#include "server/base/mutex.h"
#include "server/fanout/subscriber.h"

namespace confstream {

// What an operation was begun with: gRPC answers by it.
class CompletionTag {
 public:
  // The operation is complete; false: it came to nothing.
  virtual void Complete(bool ok) = 0;

 protected:
  ~CompletionTag() = default;
};

// Hands the completion to a method of the call.
template <typename Call, void (Call::*method)(bool)>
class MethodTag final : public CompletionTag {
 public:
  explicit MethodTag(Call* call) : call_(call) {}
  void Complete(bool ok) override { (call_->*method)(ok); }

 private:
  Call* const call_;
};

// One thread does all that is to be done for the calls, so that streams need no locks, and that
// writing to many wakes nobody: all threads that poll for gRPC share one epoll set, and would hand
// the events of each stream to each other. Post() is thread-safe, timers are the thread's own, the
// rest is the server's.
class CallQueue final : public Lane {
 private:
  using Timers = std::multimap<Instant, std::function<void()>>;

 public:
  using Timer = Timers::iterator;

  // `completions` belongs to a server that starts afterwards, and is shut down before Shutdown().
  CallQueue(const Clock* clock, std::unique_ptr<grpc::ServerCompletionQueue> completions)
      : clock_(clock), completions_(std::move(completions)) {}
  ~CallQueue() override { Shutdown(); }
  CallQueue(const CallQueue&) = delete;
  CallQueue& operator=(const CallQueue&) = delete;

  // For operations, whose tags are CompletionTag*.
  grpc::ServerCompletionQueue* completions() { return completions_.get(); }

  // REQUIRES: called once.
  void Start() {
    thread_ = std::thread([this] { Serve(); });
  }
  void Post(std::function<void()> work) override;
  // Does `work` when the time has come, unless Cancel() or Shutdown() comes first.
  Timer PostAt(Instant when, std::function<void()> work) {
    return timers_.emplace(when, std::move(work));
  }
  // REQUIRES: the timer's work has not begun.
  void Cancel(Timer timer) { timers_.erase(timer); }
  // Returns when every operation is complete. May be called again.
  void Shutdown();

 private:
  void Serve();
  void DoPosted(bool ok);
  void DoDue();
  gpr_timespec NextDue() const;

  const Clock* const clock_;
  const std::unique_ptr<grpc::ServerCompletionQueue> completions_;
  Timers timers_;  // the thread's
  std::thread thread_;

  Mutex mu_;
  std::vector<std::function<void()>> posted_ ABSL_GUARDED_BY(mu_);
  bool rung_ ABSL_GUARDED_BY(mu_) = false;  // the alarm is under way
  bool closed_ ABSL_GUARDED_BY(mu_) = false;
  MethodTag<CallQueue, &CallQueue::DoPosted> doorbell_{this};
  grpc::Alarm alarm_ ABSL_GUARDED_BY(mu_);
};

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_SERVE_CALL_QUEUE_H_
