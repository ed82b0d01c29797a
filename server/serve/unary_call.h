// Calls of unary methods on a CallQueue.

#ifndef CONFSTREAM_SERVER_SERVE_UNARY_CALL_H_
#define CONFSTREAM_SERVER_SERVE_UNARY_CALL_H_

#include <grpcpp/grpcpp.h>
#include <grpcpp/support/async_unary_call.h>

#include <functional>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "server/base/worker_pool.h"
#include "server/serve/call_queue.h"
#include "server/serve/grpc_status.h"
#include "server/serve/queued_call.h"

namespace confstream {

// How a method's calls are had, and answered.
template <typename Request, typename Response>
struct UnaryMethod {
  // Asks gRPC for the next call, as Request...() of the generated service does.
  std::function<void(grpc::ServerContext*, Request*, grpc::ServerAsyncResponseWriter<Response>*,
                     grpc::ServerCompletionQueue*, void* tag)>
      ask;
  std::function<absl::Status(const grpc::ServerContext&, const Request&, Response*)> answer;
  WorkerPool* threads = nullptr;  // that answer; null: the queue's own, which must not be held up
};

template <typename Request, typename Response>
class UnaryCall final : public QueuedCall {
 public:
  using Method = UnaryMethod<Request, Response>;

  // Serves the next call of the method, and has the one after it served in the same way.
  static void Accept(const std::shared_ptr<CallQueue>& queue,
                     const std::shared_ptr<const Method>& method) {
    std::shared_ptr<UnaryCall> call(new UnaryCall(queue, method));
    method->ask(call->context(), &call->request_, &call->writer_, queue->completions(),
                call->CallTag());
  }

 private:
  UnaryCall(const std::shared_ptr<CallQueue>& queue, std::shared_ptr<const Method> method)
      : QueuedCall(queue), method_(std::move(method)) {}

  void OnCall() override {
    Accept(queue(), method_);
    if (method_->threads == nullptr) {
      Finish(Answer());
    } else {
      DoOn(
          method_->threads, [this] { return Answer(); },
          [this](const absl::Status& status) { Finish(status); });
    }
  }
  void OnOperation(bool /*ok*/) override {}

  absl::Status Answer() { return method_->answer(*context(), request_, &response_); }
  void Finish(const absl::Status& status) {
    writer_.Finish(response_, ToGrpcStatus(status), OperationTag());
  }

  const std::shared_ptr<const Method> method_;
  Request request_;
  Response response_;
  grpc::ServerAsyncResponseWriter<Response> writer_{context()};
};

// Serves the calls of a method for as long as its server does. `ask` is Request...() of the
// generated `service`; the rest is as in UnaryMethod.
template <typename Service, typename Request, typename Response>
void ServeUnary(const std::shared_ptr<CallQueue>& queue, std::type_identity_t<Service>* service,
                void (Service::*ask)(grpc::ServerContext*, Request*,
                                     grpc::ServerAsyncResponseWriter<Response>*,
                                     grpc::CompletionQueue*, grpc::ServerCompletionQueue*, void*),
                std::type_identity_t<decltype(UnaryMethod<Request, Response>::answer)> answer,
                WorkerPool* threads = nullptr) {
  auto method = std::make_shared<UnaryMethod<Request, Response>>();
  method->ask = [service, ask](grpc::ServerContext* context, Request* request,
                               grpc::ServerAsyncResponseWriter<Response>* writer,
                               grpc::ServerCompletionQueue* completions, void* tag) {
    (service->*ask)(context, request, writer, completions, completions, tag);
  };
  method->answer = std::move(answer);
  method->threads = threads;
  UnaryCall<Request, Response>::Accept(queue, std::move(method));
}

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_SERVE_UNARY_CALL_H_
