#include "server/serve/grpc_status.h"

#include <cstdint>
#include <optional>
#include <random>
#include <string>

#include "absl/time/time.h"
#include "confstream/internal/grpc_protocols.pb.h"
#include "google/rpc/error_details.pb.h"
#include "server/base/error_reason.h"

namespace confstream {
namespace {

constexpr char kDomain[] = "confstream.dev";

absl::Duration Jittered(absl::Duration least) {
  thread_local std::minstd_rand random(std::random_device{}());
  return least * std::uniform_real_distribution<double>(1.0, 2.0)(random);
}

}  // namespace

grpc::Status ToGrpcStatus(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  const auto code = static_cast<grpc::StatusCode>(status.code());  // the same numbers by definition
  const std::string message(status.message());
  const std::optional<std::string> reason = ReasonOf(status);
  const std::optional<absl::Duration> retry = RetryAfterOf(status);
  if (!reason.has_value() && !retry.has_value()) return grpc::Status(code, message);

  internal::RpcStatus details;
  details.set_code(code);
  details.set_message(message);
  if (reason.has_value()) {
    google::rpc::ErrorInfo info;
    info.set_reason(*reason);
    info.set_domain(kDomain);
    details.add_details()->PackFrom(info);
  }
  if (retry.has_value()) {
    const absl::Duration delay = Jittered(*retry);
    const int64_t seconds = absl::ToInt64Seconds(delay);
    google::rpc::RetryInfo info;
    info.mutable_retry_delay()->set_seconds(seconds);
    info.mutable_retry_delay()->set_nanos(
        static_cast<int32_t>(absl::ToInt64Nanoseconds(delay - absl::Seconds(seconds))));
    details.add_details()->PackFrom(info);
  }
  return grpc::Status(code, message, details.SerializeAsString());
}

}  // namespace confstream
