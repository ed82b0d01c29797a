#include "server/serve/health_service.h"

#include <grpcpp/support/async_stream.h>

#include <optional>

#include "absl/strings/str_cat.h"
#include "server/base/error_reason.h"
#include "server/base/text.h"
#include "server/serve/grpc_status.h"
#include "server/serve/unary_call.h"

namespace confstream {
namespace {

using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;

HealthCheckResponse::ServingStatus StatusOf(HealthReporter::Health health) {
  switch (health) {
    case HealthReporter::Health::kServing:
      return HealthCheckResponse::SERVING;
    case HealthReporter::Health::kNotServing:
      return HealthCheckResponse::NOT_SERVING;
    case HealthReporter::Health::kUnknownService:
      return HealthCheckResponse::SERVICE_UNKNOWN;
  }
  return HealthCheckResponse::UNKNOWN;
}

absl::Status CheckHealth(const HealthReporter& reporter, const HealthCheckRequest& request,
                         HealthCheckResponse* response) {
  const HealthReporter::Health health = reporter.Of(request.service());
  if (health == HealthReporter::Health::kUnknownService) {
    return absl::NotFoundError(absl::StrCat(
        "no service `", EscapeForDisplay(absl::string_view(request.service()).substr(0, 64)),
        "`: ask for an empty name, `confstream.v1.ConfigService` or `source/NAME`"));
  }
  response->set_status(StatusOf(health));
  return absl::OkStatus();
}

// One Watch RPC of the health service: the newest status, whenever it is another than the last one
// sent.
class HealthWatch final : public QueuedCall, public Subscriber {
 public:
  // Serves the next call, and has the one after it served in the same way.
  static void Accept(HealthService* service, HealthReporter* reporter,
                     const std::shared_ptr<CallQueue>& queue) {
    std::shared_ptr<HealthWatch> call(new HealthWatch(service, reporter, queue));
    service->RequestWatch(call->context(), &call->request_, &call->writer_, queue->completions(),
                          queue->completions(), call->CallTag());
  }

  void Wake() override { Pump(); }
  Lane* lane() const override { return queue().get(); }
  uint64_t connection() const override { return 0; }

 private:
  HealthWatch(HealthService* service, HealthReporter* reporter,
              const std::shared_ptr<CallQueue>& queue)
      : QueuedCall(queue), service_(service), reporter_(reporter) {}

  void OnCall() override {
    Accept(service_, reporter_, queue());
    reporter_->audience().Subscribe(std::static_pointer_cast<HealthWatch>(shared_from_this()));
    Pump();
  }
  void OnOperation(bool ok) override {
    writing_ = false;
    if (!ok) over_ = true;
    Pump();
  }
  void OnDone() override {
    over_ = true;
    reporter_->audience().Unsubscribe(this);
  }

  void Pump() {
    if (writing_ || over_) return;
    // In this order: who drains says so before the last status can be had.
    const bool draining = reporter_->draining();
    const HealthCheckResponse::ServingStatus status = StatusOf(reporter_->Of(request_.service()));
    if (told_ != status) {
      told_ = status;
      HealthCheckResponse response;
      response.set_status(status);
      writing_ = true;
      writer_.Write(response, OperationTag());
    } else if (draining) {
      over_ = true;
      writer_.Finish(ToGrpcStatus(ErrorWithReason(absl::StatusCode::kUnavailable, kDraining,
                                                  "the server is shutting down")),
                     OperationTag());
    }
  }

  HealthService* const service_;
  HealthReporter* const reporter_;
  HealthCheckRequest request_;
  grpc::ServerAsyncWriter<HealthCheckResponse> writer_{context()};
  std::optional<HealthCheckResponse::ServingStatus> told_;
  bool writing_ = false;
  bool over_ = false;  // nothing more is to be written
};

}  // namespace

void HealthService::Serve(const std::shared_ptr<CallQueue>& queue) {
  ServeUnary(
      queue, this, &HealthService::RequestCheck,
      [this](const grpc::ServerContext& /*context*/, const HealthCheckRequest& request,
             HealthCheckResponse* response) { return CheckHealth(*reporter_, request, response); });
  HealthWatch::Accept(this, reporter_, queue);
}

}  // namespace confstream
