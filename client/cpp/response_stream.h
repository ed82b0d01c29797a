// One Watch stream, read message by message with deadlines.

#ifndef CONFSTREAM_CLIENT_CPP_RESPONSE_STREAM_H_
#define CONFSTREAM_CLIENT_CPP_RESPONSE_STREAM_H_

#include <grpcpp/grpcpp.h>

#include <memory>

#include "absl/status/status.h"
#include "confstream/v1/config_service.grpc.pb.h"
#include "server/base/clock.h"
#include "server/base/mutex.h"

namespace confstream {

// Reads ahead by no message: what the reader does not take stays with the server, which skips
// versions then. One thread reads; Cancel may be called from any.
class ResponseStream final : private grpc::ClientReadReactor<v1::WatchResponse> {
 public:
  enum class Event { kMessage, kEnded, kDeadline };

  // Opens the stream. `clock` outlives it.
  ResponseStream(const std::shared_ptr<grpc::Channel>& channel, const v1::WatchRequest& request,
                 const Clock* clock);
  ~ResponseStream() override;

  // Waits for the next message, at most until `deadline`.
  Event Next(Instant deadline);

  // The message that Next found. REQUIRES: Next returned kMessage.
  const v1::WatchResponse& message() const { return message_; }

  // Ends the stream: Next returns kEnded soon.
  void Cancel() { context_.TryCancel(); }

  // Cancels what has not ended yet, and returns how the stream ended; INTERNAL: by a message that
  // does not parse. To be called once, last.
  absl::Status Finish();

 private:
  // Waits until gRPC is done with the stream, at most until `deadline`; false: it is not.
  bool Done(Instant deadline);

  void OnReadDone(bool ok) override;
  void OnDone(const grpc::Status& status) override;

  const Clock* const clock_;
  const v1::WatchRequest request_;
  const std::unique_ptr<v1::ConfigService::Stub> stub_;
  grpc::ClientContext context_;
  v1::WatchResponse message_;  // belongs to gRPC while reading_, otherwise to the reader
  bool finished_ = false;      // the reader's

  Mutex mu_;
  CondVar changed_;
  bool reading_ ABSL_GUARDED_BY(mu_) = true;
  bool ended_ ABSL_GUARDED_BY(mu_) = false;
  bool fresh_ ABSL_GUARDED_BY(mu_) = false;  // message_ has not been returned by Next
  bool done_ ABSL_GUARDED_BY(mu_) = false;
  grpc::Status status_ ABSL_GUARDED_BY(mu_);
};

}  // namespace confstream

#endif  // CONFSTREAM_CLIENT_CPP_RESPONSE_STREAM_H_
