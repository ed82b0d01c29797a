#include "server/base/error_reason.h"

#include "absl/strings/cord.h"

namespace confstream {
namespace {

constexpr char kReasonUrl[] = "confstream.dev/reason";
constexpr char kRetryUrl[] = "confstream.dev/retry-after";

}  // namespace

absl::Status ErrorWithReason(absl::StatusCode code, absl::string_view reason,
                             absl::string_view message, std::optional<absl::Duration> retry_after) {
  absl::Status status(code, message);
  status.SetPayload(kReasonUrl, absl::Cord(reason));
  if (retry_after.has_value()) {
    status.SetPayload(kRetryUrl, absl::Cord(absl::FormatDuration(*retry_after)));
  }
  return status;
}

std::optional<std::string> ReasonOf(const absl::Status& status) {
  const auto payload = status.GetPayload(kReasonUrl);
  if (!payload.has_value()) return std::nullopt;
  return std::string(*payload);
}

std::optional<absl::Duration> RetryAfterOf(const absl::Status& status) {
  const auto payload = status.GetPayload(kRetryUrl);
  absl::Duration duration;
  if (!payload.has_value() || !absl::ParseDuration(std::string(*payload), &duration)) {
    return std::nullopt;
  }
  return duration;
}

}  // namespace confstream
