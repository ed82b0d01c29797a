#include "server/serve/watch_stream.h"

#include <grpcpp/support/proto_buffer_reader.h>

#include <utility>
#include <vector>

#include "confstream/v1/config_service.pb.h"
#include "server/serve/grpc_status.h"
#include "server/serve/watch_request.h"

namespace confstream {
namespace {

// A slice that refers to bytes which all streams of a view share.
grpc::Slice SharedSlice(const std::shared_ptr<const std::string>& bytes) {
  auto* reference = new std::shared_ptr<const std::string>(bytes);
  const auto drop = [](void* held) {
    delete static_cast<std::shared_ptr<const std::string>*>(held);
  };
  return grpc::Slice(const_cast<char*>((*reference)->data()), (*reference)->size(), drop,
                     reference);
}

}  // namespace

WatchStream* WatchStream::Start(const Clock* clock, WatchHub* hub, absl::Duration stall_timeout,
                                grpc::CallbackServerContext* context,
                                const grpc::ByteBuffer& request) {
  std::shared_ptr<WatchStream> stream(new WatchStream(clock, hub, stall_timeout, context));
  stream->self_ = stream;
  stream->Open(request);
  return stream.get();
}

void WatchStream::Open(const grpc::ByteBuffer& request) {
  v1::WatchRequest message;
  grpc::ByteBuffer bytes = request;  // the reader wants one that it may change
  grpc::ProtoBufferReader reader(&bytes);
  absl::StatusOr<WatchSpec> spec = absl::InvalidArgumentError("");
  if (message.ParseFromZeroCopyStream(&reader)) {
    spec = ParseWatchRequest(message);
  } else {
    spec = InvalidRequest("the request is not a valid WatchRequest: all its strings must be UTF-8");
  }
  if (spec.ok()) spec->peer = context_->peer();
  absl::StatusOr<std::unique_ptr<WatchSession>> session =
      spec.ok() ? hub_->Open(*std::move(spec), self_) : spec.status();
  MutexLock lock(&mu_);
  if (!session.ok()) {
    FinishLocked(session.status());
    return;
  }
  session_ = *std::move(session);
  PumpLocked();
}

void WatchStream::Wake() {
  MutexLock lock(&mu_);
  const Instant now = clock_->Now();
  if (now >= wake_at_) wake_at_ = Instant::Infinite();
  if (writing_ && !cancelled_ && !finished_ && now >= write_began_ + stall_timeout_) {
    // A reader that takes nothing, perhaps behind a proxy that keeps the connection: gRPC would
    // wait for ever.
    cancelled_ = true;
    context_->TryCancel();
  }
  PumpLocked();
}

void WatchStream::OnWriteDone(bool ok) {
  MutexLock lock(&mu_);
  writing_ = false;
  buffer_.Clear();
  if (!ok) cancelled_ = true;
  PumpLocked();
}

void WatchStream::OnCancel() {
  MutexLock lock(&mu_);
  cancelled_ = true;
  PumpLocked();
}

void WatchStream::OnDone() {
  std::shared_ptr<WatchStream> self;
  {
    MutexLock lock(&mu_);
    finished_ = true;
    self = std::move(self_);
    if (session_ != nullptr) hub_->Close(*session_, this);
    session_.reset();
  }
  // `self` may be the last owner: nothing of this object is touched from here on.
}

void WatchStream::PumpLocked() {
  if (writing_ || finished_ || session_ == nullptr) {
    if (writing_ && !finished_) ScheduleLocked();
    return;
  }
  if (cancelled_) {
    FinishLocked(absl::CancelledError("the stream was cancelled"));
    return;
  }
  const Instant now = clock_->Now();
  std::optional<OutgoingMessage> message = session_->Next(now);
  if (message.has_value()) {
    WriteLocked(*std::move(message), now);
  } else if (session_->end().has_value()) {
    FinishLocked(*session_->end());
    return;
  }
  ScheduleLocked();
}

void WatchStream::WriteLocked(OutgoingMessage message, Instant now) {
  std::vector<grpc::Slice> slices;
  slices.reserve(1 + message.shared.size());
  if (!message.own.empty()) slices.emplace_back(message.own);
  for (const auto& shared : message.shared) slices.push_back(SharedSlice(shared));
  buffer_ = grpc::ByteBuffer(slices.data(), slices.size());
  writing_ = true;
  write_began_ = now;
  StartWrite(&buffer_);
}

void WatchStream::FinishLocked(const absl::Status& status) {
  finished_ = true;
  Finish(ToGrpcStatus(status));
}

void WatchStream::ScheduleLocked() {
  // Once cancelled, gRPC ends the write under way, and that is all that is waited for.
  if (finished_ || cancelled_) return;
  const Instant due = writing_ ? write_began_ + stall_timeout_ : session_->NextDue();
  // One wake-up that comes early is enough: it asks for the next. So a busy stream asks for hardly
  // any.
  if (due >= wake_at_) return;
  wake_at_ = due;
  hub_->WakeAt(due, weak_from_this());
}

}  // namespace confstream
