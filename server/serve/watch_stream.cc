#include "server/serve/watch_stream.h"

#include <grpcpp/support/proto_buffer_reader.h>

#include <utility>
#include <vector>

#include "absl/hash/hash.h"
#include "confstream/v1/config_service.pb.h"
#include "server/serve/config_service.h"
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

void WatchStream::Accept(const WatchStreamContext* context,
                         const std::shared_ptr<CallQueue>& queue) {
  std::shared_ptr<WatchStream> stream(new WatchStream(context, queue));
  stream->self_ = stream;
  Call& call = *stream->call_;
  call.context.AsyncNotifyWhenDone(&stream->done_tag_);
  context->service->RequestWatch(&call.context, &call.request, &call.writer, queue->completions(),
                                 queue->completions(), &stream->call_tag_);
}

void WatchStream::OnCall(bool ok) {
  if (!ok) {  // the server is shutting down: there is no call, nor will it be done
    Release();
    return;
  }
  Accept(&context_, queue_);
  if (const absl::Status opened = Open(); !opened.ok()) {
    Finish(opened);
  } else {
    Pump();
  }
}

absl::Status WatchStream::Open() {
  v1::WatchRequest message;
  grpc::ProtoBufferReader reader(&call_->request);
  if (!message.ParseFromZeroCopyStream(&reader)) {
    return InvalidRequest("the request is not a valid WatchRequest: all its strings must be UTF-8");
  }
  call_->request.Clear();
  absl::StatusOr<WatchSpec> spec = ParseWatchRequest(message);
  if (!spec.ok()) return spec.status();
  spec->peer = call_->context.peer();
  connection_ = absl::HashOf(spec->peer);
  auto session = context_.hub->Open(*std::move(spec), self_);
  if (!session.ok()) return session.status();
  session_ = *std::move(session);
  return absl::OkStatus();
}

void WatchStream::Wake() {
  if (call_ == nullptr) return;
  const Instant now = context_.clock->Now();
  if (writing_ && !cancelled_ && !finished_ && now >= write_began_ + context_.stall_timeout) {
    // A reader that takes nothing, perhaps behind a proxy that keeps the connection: gRPC would
    // wait for ever.
    cancelled_ = true;
    call_->context.TryCancel();
  }
  Pump();
}

void WatchStream::OnOperation(bool ok) {
  writing_ = false;
  if (!ok) cancelled_ = true;
  if (done_) {
    Release();
  } else {
    Pump();
  }
}

void WatchStream::OnDone(bool /*ok*/) {
  done_ = true;
  cancelled_ = true;
  if (!writing_) Release();
}

void WatchStream::Pump() {
  if (finished_ || cancelled_ || session_ == nullptr) return;
  if (!writing_) {
    const Instant now = context_.clock->Now();
    const std::optional<OutgoingMessage> message = session_->Next(now);
    if (message.has_value()) {
      Write(*message, now);
    } else if (session_->end().has_value()) {
      Finish(*session_->end());
      return;
    }
  }
  Schedule();
}

void WatchStream::Write(const OutgoingMessage& message, Instant now) {
  std::vector<grpc::Slice> slices;
  slices.reserve(1 + message.shared.size());
  if (!message.own.empty()) slices.emplace_back(message.own);
  for (const auto& shared : message.shared) slices.push_back(SharedSlice(shared));
  writing_ = true;
  write_began_ = now;
  call_->writer.Write(grpc::ByteBuffer(slices.data(), slices.size()), &operation_tag_);
}

void WatchStream::Finish(const absl::Status& status) {
  finished_ = true;
  writing_ = true;
  call_->writer.Finish(ToGrpcStatus(status), &operation_tag_);
}

void WatchStream::Schedule() {
  const Instant due = writing_ ? write_began_ + context_.stall_timeout : session_->NextDue();
  if (due == Instant::Infinite()) return;
  // One wake-up that comes early is enough: it asks for the next. So a busy stream asks for hardly
  // any.
  if (timer_.has_value()) {
    if (due >= (*timer_)->first) return;
    queue_->Cancel(*timer_);
  }
  timer_ = queue_->PostAt(due, [this] {
    timer_.reset();
    Wake();
  });
}

void WatchStream::Release() {
  if (timer_.has_value()) queue_->Cancel(*std::exchange(timer_, std::nullopt));
  if (session_ != nullptr) context_.hub->Close(*session_, this);
  session_.reset();
  call_.reset();
  // May be the last owner: nothing of this object is touched from here on.
  const std::shared_ptr<WatchStream> self = std::move(self_);
}

}  // namespace confstream
