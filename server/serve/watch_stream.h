// One Watch RPC.

#ifndef CONFSTREAM_SERVER_SERVE_WATCH_STREAM_H_
#define CONFSTREAM_SERVER_SERVE_WATCH_STREAM_H_

#include <grpcpp/grpcpp.h>

#include <memory>

#include "absl/time/time.h"
#include "server/base/clock.h"
#include "server/base/mutex.h"
#include "server/fanout/watch_hub.h"
#include "server/fanout/watch_session.h"

namespace confstream {

// Writes what its session has, one message in flight. Owns itself from Start() until gRPC is done
// with it (OnDone); wake-ups under way may keep the object a little longer, and then do nothing.
// Thread-safe.
class WatchStream final : public grpc::ServerWriteReactor<grpc::ByteBuffer>,
                          public Subscriber,
                          public std::enable_shared_from_this<WatchStream> {
 public:
  // A stream whose reader takes no message for `stall_timeout` is cancelled.
  static WatchStream* Start(const Clock* clock, WatchHub* hub, absl::Duration stall_timeout,
                            grpc::CallbackServerContext* context, const grpc::ByteBuffer& request);

  void Wake() override;

  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

 private:
  WatchStream(const Clock* clock, WatchHub* hub, absl::Duration stall_timeout,
              grpc::CallbackServerContext* context)
      : clock_(clock), hub_(hub), stall_timeout_(stall_timeout), context_(context) {}

  void Open(const grpc::ByteBuffer& request);
  void PumpLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void WriteLocked(OutgoingMessage message, Instant now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void FinishLocked(const absl::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void ScheduleLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const Clock* const clock_;
  WatchHub* const hub_;
  const absl::Duration stall_timeout_;
  grpc::CallbackServerContext* const context_;  // gRPC's; gone after OnDone

  std::shared_ptr<WatchStream> self_;  // from Start() to OnDone()

  // WatchStream's lock comes before those of the hub, which calls nobody with a lock held.
  Mutex mu_;
  std::unique_ptr<WatchSession> session_ ABSL_GUARDED_BY(mu_);  // null: the request was refused
  grpc::ByteBuffer buffer_ ABSL_GUARDED_BY(mu_);                // the message in flight
  bool writing_ ABSL_GUARDED_BY(mu_) = false;
  bool cancelled_ ABSL_GUARDED_BY(mu_) = false;
  bool finished_ ABSL_GUARDED_BY(mu_) = false;
  Instant write_began_ ABSL_GUARDED_BY(mu_);
  Instant wake_at_ ABSL_GUARDED_BY(mu_) = Instant::Infinite();  // the earliest wake-up asked for
};

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_SERVE_WATCH_STREAM_H_
