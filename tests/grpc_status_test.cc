#include "server/serve/grpc_status.h"

#include <gtest/gtest.h>

#include <set>

#include "server/base/error_reason.h"
#include "tests/fakes/in_process_server.h"

namespace confstream {
namespace {

TEST(ToGrpcStatusTest, OkIsOk) { EXPECT_TRUE(ToGrpcStatus(absl::OkStatus()).ok()); }

TEST(ToGrpcStatusTest, EveryCodeIsTheSameOnTheOtherSide) {
  const std::pair<absl::StatusCode, grpc::StatusCode> pairs[] = {
      {absl::StatusCode::kCancelled, grpc::StatusCode::CANCELLED},
      {absl::StatusCode::kInvalidArgument, grpc::StatusCode::INVALID_ARGUMENT},
      {absl::StatusCode::kNotFound, grpc::StatusCode::NOT_FOUND},
      {absl::StatusCode::kResourceExhausted, grpc::StatusCode::RESOURCE_EXHAUSTED},
      {absl::StatusCode::kUnavailable, grpc::StatusCode::UNAVAILABLE},
      {absl::StatusCode::kUnimplemented, grpc::StatusCode::UNIMPLEMENTED},
      {absl::StatusCode::kInternal, grpc::StatusCode::INTERNAL}};
  for (const auto& [ours, theirs] : pairs) {
    const grpc::Status status = ToGrpcStatus(absl::Status(ours, "why"));
    EXPECT_EQ(status.error_code(), theirs);
    EXPECT_EQ(status.error_message(), "why");
    EXPECT_EQ(status.error_details(), "");
  }
}

TEST(ToGrpcStatusTest, ReasonComesBackFromTheDetails) {
  const grpc::Status status =
      ToGrpcStatus(ErrorWithReason(absl::StatusCode::kNotFound, kSourceNotFound, "no `x`"));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  const ErrorDetails details = DetailsOf(status);
  EXPECT_EQ(details.reason, "SOURCE_NOT_FOUND");
  EXPECT_EQ(details.domain, "confstream.dev");
  EXPECT_FALSE(details.retry_delay.has_value());
}

TEST(ToGrpcStatusTest, RetryIsSpreadOverOneToTwoTimesWhatWasAskedFor) {
  const absl::Status status =
      ErrorWithReason(absl::StatusCode::kUnavailable, kDraining, "bye", absl::Seconds(3));
  std::set<absl::Duration> delays;
  for (int i = 0; i < 50; ++i) {
    const ErrorDetails details = DetailsOf(ToGrpcStatus(status));
    EXPECT_EQ(details.reason, "DRAINING");
    ASSERT_TRUE(details.retry_delay.has_value());
    EXPECT_GE(*details.retry_delay, absl::Seconds(3));
    EXPECT_LE(*details.retry_delay, absl::Seconds(6));
    delays.insert(*details.retry_delay);
  }
  EXPECT_GT(delays.size(), 10u) << "clients that are sent away together come back apart";
}

}  // namespace
}  // namespace confstream
