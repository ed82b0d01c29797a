// Where the Watch streams of a gRPC server live: its completion queue, and the thread that serves
// it.

#ifndef CONFSTREAM_SERVER_SERVE_WATCH_QUEUE_H_
#define CONFSTREAM_SERVER_SERVE_WATCH_QUEUE_H_

#include <grpcpp/alarm.h>
#include <grpcpp/grpcpp.h>

#include <memory>
#include <thread>
#include <vector>

#include "server/base/mutex.h"

namespace confstream {

// What an operation was begun with: gRPC answers by it.
class CompletionTag {
 public:
  // The operation is complete; false: it came to nothing.
  virtual void Complete(bool ok) = 0;

 protected:
  ~CompletionTag() = default;
};

// One thread does all that is to be done for the streams, so that they need no locks, and that
// writing to many wakes nobody. Post() is thread-safe, the rest is the server's.
class WatchQueue {
 public:
  // Somebody who has something to do on the thread.
  class Guest {
   public:
    virtual ~Guest() = default;
    virtual void Run() = 0;
  };

  // `completions` belongs to a server that starts afterwards, and is shut down before Shutdown().
  explicit WatchQueue(std::unique_ptr<grpc::ServerCompletionQueue> completions)
      : completions_(std::move(completions)) {}
  ~WatchQueue() { Shutdown(); }
  WatchQueue(const WatchQueue&) = delete;
  WatchQueue& operator=(const WatchQueue&) = delete;

  // For operations, whose tags are CompletionTag*.
  grpc::ServerCompletionQueue* completions() { return completions_.get(); }

  // REQUIRES: called once.
  void Start() {
    thread_ = std::thread([this] { Serve(); });
  }
  // `guest` is run soon, on the thread; after Shutdown() it is dropped.
  void Post(std::shared_ptr<Guest> guest);
  // Returns when every operation is complete. May be called again.
  void Shutdown();

 private:
  class Doorbell final : public CompletionTag {
   public:
    explicit Doorbell(WatchQueue* queue) : queue_(queue) {}
    void Complete(bool ok) override;

   private:
    WatchQueue* const queue_;
  };

  void Serve();

  const std::unique_ptr<grpc::ServerCompletionQueue> completions_;
  std::thread thread_;

  Mutex mu_;
  std::vector<std::shared_ptr<Guest>> guests_ ABSL_GUARDED_BY(mu_);
  bool rung_ ABSL_GUARDED_BY(mu_) = false;  // the alarm is under way
  bool closed_ ABSL_GUARDED_BY(mu_) = false;
  Doorbell doorbell_{this};
  grpc::Alarm alarm_ ABSL_GUARDED_BY(mu_);
};

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_SERVE_WATCH_QUEUE_H_
