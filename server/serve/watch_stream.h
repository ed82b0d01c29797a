// One Watch RPC.

#ifndef CONFSTREAM_SERVER_SERVE_WATCH_STREAM_H_
#define CONFSTREAM_SERVER_SERVE_WATCH_STREAM_H_

#include <grpcpp/grpcpp.h>
#include <grpcpp/support/async_stream.h>

#include <cstdint>
#include <memory>
#include <optional>

#include "absl/time/time.h"
#include "server/base/clock.h"
#include "server/fanout/watch_hub.h"
#include "server/fanout/watch_session.h"
#include "server/serve/call_queue.h"

namespace confstream {

class ConfigService;

// What all streams of a server share; outlives them.
struct WatchStreamContext {
  ConfigService* service;  // asks gRPC for calls
  const Clock* clock;
  WatchHub* hub;
  absl::Duration stall_timeout;  // a stream whose reader takes no message for so long is cancelled
};

// Writes what its session has, one message in flight. Owns itself from Accept() until gRPC is done
// with the call; a wake-up under way may keep the object a little longer, and then does nothing.
// Lives on the queue's thread.
class WatchStream final : public Subscriber, public std::enable_shared_from_this<WatchStream> {
 public:
  // Serves the next call, and has the one after it served in the same way.
  static void Accept(const WatchStreamContext* context, const std::shared_ptr<CallQueue>& queue);

  void Wake() override;
  Lane* lane() const override { return queue_.get(); }
  uint64_t connection() const override { return connection_; }

 private:
  // gRPC's part, which must not outlive its server.
  struct Call {
    grpc::ServerContext context;
    grpc::ByteBuffer request;
    grpc::ServerAsyncWriter<grpc::ByteBuffer> writer{&context};
  };

  WatchStream(const WatchStreamContext* context, std::shared_ptr<CallQueue> queue)
      : context_(*context), queue_(std::move(queue)) {}

  void OnCall(bool ok);
  void OnOperation(bool ok);
  void OnDone(bool ok);

  absl::Status Open();
  void Pump();
  void Write(const OutgoingMessage& message, Instant now);
  void Finish(const absl::Status& status);
  void Schedule();
  void Release();

  const WatchStreamContext& context_;
  const std::shared_ptr<CallQueue> queue_;
  std::shared_ptr<WatchStream> self_;                      // until Release()
  std::unique_ptr<Call> call_ = std::make_unique<Call>();  // likewise
  MethodTag<WatchStream, &WatchStream::OnCall> call_tag_{this};
  MethodTag<WatchStream, &WatchStream::OnOperation> operation_tag_{this};
  MethodTag<WatchStream, &WatchStream::OnDone> done_tag_{this};
  uint64_t connection_ = 0;  // hash of the peer

  std::unique_ptr<WatchSession> session_;  // null: not open yet, refused, or closed
  bool writing_ = false;                   // or finishing: an operation is under way
  bool cancelled_ = false;                 // nothing more can be written
  bool finished_ = false;                  // nothing more is to be written
  bool done_ = false;                      // gRPC knows how the call has ended
  Instant write_began_;
  std::optional<CallQueue::Timer> timer_;  // the wake-up asked for
};

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_SERVE_WATCH_STREAM_H_
