#include "client/cpp/response_stream.h"

#include "client/cpp/rpc_status.h"

namespace confstream {
namespace {

// From the last message until the status, which follows at once.
constexpr absl::Duration kStatusPatience = absl::Seconds(1);

}  // namespace

ResponseStream::ResponseStream(const std::shared_ptr<grpc::Channel>& channel,
                               const v1::WatchRequest& request, const Clock* clock)
    : clock_(clock), request_(request), stub_(v1::ConfigService::NewStub(channel)) {
  stub_->async()->Watch(&context_, &request_, this);
  // Reads are started from the reader's thread: the hold keeps OnDone away until Finish.
  AddHold();
  StartRead(&message_);
  StartCall();
}

ResponseStream::~ResponseStream() {
  if (!finished_) Finish().IgnoreError();
}

ResponseStream::Event ResponseStream::Next(Instant deadline) {
  bool start = false;
  {
    MutexLock lock(&mu_);
    if (!reading_ && !fresh_ && !ended_) start = reading_ = true;
  }
  if (start) StartRead(&message_);
  MutexLock lock(&mu_);
  while (!fresh_ && !ended_) {
    const absl::Duration left = deadline - clock_->Now();
    if (left <= absl::ZeroDuration()) return Event::kDeadline;
    changed_.WaitFor(&mu_, left);
  }
  if (!fresh_) return Event::kEnded;
  fresh_ = false;
  return Event::kMessage;
}

absl::Status ResponseStream::Finish() {
  finished_ = true;
  bool ended = false;
  {
    MutexLock lock(&mu_);
    ended = ended_;
  }
  if (!ended) Cancel();
  RemoveHold();
  // gRPC reports a message that does not parse as the end, and leaves the call open.
  const bool unreadable = ended && !Done(clock_->Now() + kStatusPatience);
  if (unreadable) Cancel();
  Done(Instant::Infinite());
  if (unreadable) return absl::InternalError("a message of the server cannot be read");
  MutexLock lock(&mu_);
  return FromGrpcStatus(status_);
}

bool ResponseStream::Done(Instant deadline) {
  MutexLock lock(&mu_);
  while (!done_ && clock_->Now() < deadline) changed_.WaitFor(&mu_, deadline - clock_->Now());
  return done_;
}

void ResponseStream::OnReadDone(bool ok) {
  MutexLock lock(&mu_);
  reading_ = false;
  (ok ? fresh_ : ended_) = true;
  changed_.NotifyAll();
}

void ResponseStream::OnDone(const grpc::Status& status) {
  MutexLock lock(&mu_);
  status_ = status;
  done_ = true;
  changed_.NotifyAll();
}

}  // namespace confstream
