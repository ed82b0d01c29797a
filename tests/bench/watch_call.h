// One stream of the load client, on a completion queue.

#ifndef CONFSTREAM_TESTS_BENCH_WATCH_CALL_H_
#define CONFSTREAM_TESTS_BENCH_WATCH_CALL_H_

#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <cstddef>
#include <memory>
#include <string>

#include "tests/bench/receipts.h"

namespace confstream {

// How a server is asked to stream what is published. Plain data.
struct WatchMethod {
  std::string name;          // as gRPC calls it: /package.Service/Method
  std::string request;       // the message that asks, serialized
  bool half_closes = false;  // nothing is sent after the request
};

// Asks, then reads until the stream ends; messages are never decoded as a whole. Thread-compatible:
// the thread that polls the queue calls it.
class WatchCall {
 public:
  // Starts the call; its events come with this object as their tag. The pointers must outlive it.
  WatchCall(grpc::GenericStub* stub, grpc::CompletionQueue* queue, const WatchMethod* method,
            size_t payload_bytes, size_t watcher, Receipts* receipts);
  // One that asks, and reads nothing of what comes.
  WatchCall(grpc::GenericStub* stub, grpc::CompletionQueue* queue, const WatchMethod* method);

  // Takes an event. False: the stream has ended, and no more events come.
  bool Proceed(bool ok);

  // Ends the stream soon.
  void Cancel() { context_.TryCancel(); }

  // How the stream ended. REQUIRES: Proceed() returned false.
  const grpc::Status& status() const { return status_; }

 private:
  enum class Step { kStarting, kAsking, kReading, kEnding };

  void Ask();

  const WatchMethod* const method_;
  const size_t payload_bytes_;
  const size_t watcher_;
  Receipts* const receipts_;  // null: nothing is read
  grpc::ClientContext context_;
  std::unique_ptr<grpc::GenericClientAsyncReaderWriter> call_;
  Step step_ = Step::kStarting;
  bool open_ = false;
  grpc::ByteBuffer message_;
  grpc::Status status_;
};

}  // namespace confstream

#endif  // CONFSTREAM_TESTS_BENCH_WATCH_CALL_H_
