// Follows a source, over as many streams as it takes.

#ifndef CONFSTREAM_CLIENT_CPP_SOURCE_WATCH_H_
#define CONFSTREAM_CLIENT_CPP_SOURCE_WATCH_H_

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "client/cpp/backoff.h"
#include "client/cpp/connection.h"
#include "client/cpp/received_snapshot.h"
#include "client/cpp/response_stream.h"
#include "client/cpp/snapshot_assembler.h"
#include "confstream/v1/config_service.pb.h"
#include "server/base/clock.h"
#include "server/base/mutex.h"

namespace confstream {

// What SourceWatch tells. Called on the thread in Run, one at a time. A call may take its time: the
// server skips versions then; it may call SourceWatch::Stop.
class WatchObserver {
 public:
  virtual ~WatchObserver() = default;

  // The server answered on a new stream.
  virtual void OnConnected(const std::string& /*watch_id*/) {}
  // A snapshot is complete and its digest checked. It replaces the one before.
  virtual void OnSnapshot(const std::shared_ptr<const ReceivedSnapshot>& snapshot) = 0;
  // A message came that brings no content, and says that `held`, which is what is held, stands for
  // the version of its header by now. Called first for every such message, those included whose
  // event this client does not know.
  virtual void OnPosition(const std::shared_ptr<const ReceivedSnapshot>& /*held*/) {}
  // A message came, of whatever event, that brings no content and says that what is held is
  // current.
  virtual void OnInSync() {}
  // The state of the source. `header` says up to which version the stream is complete.
  virtual void OnStatus(const v1::ResponseHeader& /*header*/, const v1::SourceStatus& /*status*/) {}
  // Nothing happened; with `in_sync`, what is held is current.
  virtual void OnHeartbeat(const v1::ResponseHeader& /*header*/, bool /*in_sync*/) {}
  // Nothing was heard for three heartbeats: what is held may be out of date. Told once, until the
  // server is heard again.
  virtual void OnStale(absl::Duration /*silence*/) {}
  // What the server sent was thrown away: it contradicts itself or is too large. The stream is
  // ended, and the next one begins without a token.
  virtual void OnStartedOver(const absl::Status& /*why*/) {}
  // The stream ended, unasked; the next one is tried in `retry_in`.
  virtual void OnDisconnected(const absl::Status& /*why*/, absl::Duration /*retry_in*/) {}
};

struct SourceWatchOptions {
  // What to watch. Its resume_token is set anew for every stream.
  v1::WatchRequest request;

  absl::Duration first_backoff = absl::Milliseconds(100);
  absl::Duration most_backoff = absl::Seconds(10);
  // False: the first stream that ends unasked ends the watch, with its error.
  bool retry = true;
  // The watch ends with DEADLINE_EXCEEDED after this time.
  absl::Duration time_limit = absl::InfiniteDuration();
  // Most bytes of content held. More: RESOURCE_EXHAUSTED, and tried again.
  int64_t max_bytes = SnapshotAssembler::kDefaultMaxBytes;
};

// True if a stream that ended with `status` is worth another try, which is all but: NOT_FOUND (no
// such source, or it was removed), INVALID_ARGUMENT, OUT_OF_RANGE, FAILED_PRECONDITION,
// PERMISSION_DENIED, UNAUTHENTICATED and UNIMPLEMENTED: those come back until somebody changes the
// request or the server. OK and CANCELLED are worth it: the client did not ask for them.
bool IsWorthRetrying(const absl::Status& status);

// Thread-safe: Run is called once, on any thread; Stop from any thread.
class SourceWatch {
 public:
  // All of them outlive the watch.
  SourceWatch(Connection* connection, SourceWatchOptions options, WatchObserver* observer);

  // Begins with what an earlier watch of the same view held. To be called before Run.
  void Hold(std::shared_ptr<const ReceivedSnapshot> snapshot) {
    assembler_.Hold(std::move(snapshot));
  }

  // Follows the source until one of:
  //   - Stop was called, or, with until_in_sync, the stream was in sync and ended: OK
  //   - a stream ended with a status that is not worth retrying, or any if `retry` is false: that
  //   - `time_limit` is over: DEADLINE_EXCEEDED.
  // A stream that breaks is resumed with the last token, after jittered backoff or what the server
  // asks for, if longer. One that sends what contradicts itself ends with DATA_LOSS and is started
  // over without a token. One that is silent for three heartbeats is given up and resumed.
  absl::Status Run();

  // Ends Run soon. May be called before it, from its observer, or more than once.
  void Stop();

 private:
  absl::Status FollowStream(const std::shared_ptr<grpc::Channel>& channel);
  absl::Status Take(const v1::WatchResponse& message);
  void TellIfStale();
  void WaitToRetry(absl::Duration delay);
  bool stopped();

  Connection* const connection_;
  const SourceWatchOptions options_;
  WatchObserver* const observer_;
  const SystemClock clock_;
  const absl::Duration stale_after_;  // infinite without heartbeats

  // Of the thread in Run.
  SnapshotAssembler assembler_;
  Backoff backoff_;
  Instant time_limit_at_ = Instant::Infinite();
  Instant last_heard_;
  bool told_stale_ = false;
  bool stream_in_sync_ = false;  // the last message of the stream said so

  Mutex mu_;
  CondVar stop_changed_;
  bool stop_ ABSL_GUARDED_BY(mu_) = false;
  ResponseStream* stream_ ABSL_GUARDED_BY(mu_) = nullptr;  // the one being read, for Stop
};

}  // namespace confstream

#endif  // CONFSTREAM_CLIENT_CPP_SOURCE_WATCH_H_
