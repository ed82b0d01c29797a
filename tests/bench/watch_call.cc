#include "tests/bench/watch_call.h"

namespace confstream {

WatchCall::WatchCall(grpc::GenericStub* stub, grpc::CompletionQueue* queue,
                     const WatchMethod* method, size_t payload_bytes, size_t watcher,
                     Receipts* receipts)
    : method_(method), payload_bytes_(payload_bytes), watcher_(watcher), receipts_(receipts) {
  context_.set_wait_for_ready(true);
  call_ = stub->PrepareCall(&context_, method->name, queue);
  call_->StartCall(this);
}

WatchCall::WatchCall(grpc::GenericStub* stub, grpc::CompletionQueue* queue,
                     const WatchMethod* method)
    : WatchCall(stub, queue, method, 0, 0, nullptr) {}

bool WatchCall::Proceed(bool ok) {
  if (step_ == Step::kEnding) return false;
  if (!ok) {
    step_ = Step::kEnding;
    if (receipts_ != nullptr) receipts_->NoteFailure();
    call_->Finish(&status_, this);
    return true;
  }
  switch (step_) {
    case Step::kStarting:
      step_ = Step::kAsking;
      Ask();
      return true;
    case Step::kAsking:
      step_ = Step::kReading;
      break;
    case Step::kReading:
      if (!open_) receipts_->NoteOpen();
      open_ = true;
      receipts_->NoteReceived(watcher_, FindPayloads(message_, payload_bytes_), message_.Length(),
                              MonotonicNanoseconds());
      break;
    case Step::kEnding:
      break;
  }
  if (receipts_ != nullptr) {
    call_->Read(&message_, this);
  } else {
    step_ = Step::kEnding;
    call_->Finish(&status_, this);
  }
  return true;
}

void WatchCall::Ask() {
  const grpc::Slice bytes(method_->request);
  const grpc::ByteBuffer request(&bytes, 1);
  if (method_->half_closes) {
    call_->WriteLast(request, grpc::WriteOptions(), this);
  } else {
    call_->Write(request, this);
  }
}

}  // namespace confstream
