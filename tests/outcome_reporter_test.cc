#include "client/cpp/outcome_reporter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "absl/time/clock.h"
#include "server/base/text.h"
#include "tests/fakes/scripted_config_service.h"

namespace confstream {
namespace {

class OutcomeReporterTest : public ::testing::Test {
 protected:
  static v1::ResponseHeader At(int64_t version) {
    ScriptedVersion scripted;
    scripted.version = version;
    return HeaderOf(scripted);
  }

  ScriptedConfigService server_;
  std::unique_ptr<Connection> connection_ = *Connection::To(server_.address());
  OutcomeReporter reporter_{connection_.get()};
};

TEST_F(OutcomeReporterTest, ReportsForTheStreamThatDeliveredTheVersion) {
  reporter_.OnConnected("w1");
  reporter_.OnSnapshot(At(3));
  ASSERT_TRUE(reporter_.Report(At(3), v1::OUTCOME_REJECTED, "no such cipher").ok());
  ASSERT_EQ(server_.reports().size(), 1u);
  EXPECT_EQ(server_.reports()[0].watch_id(), "w1");
  EXPECT_EQ(server_.reports()[0].version(), 3);
  EXPECT_EQ(server_.reports()[0].outcome(), v1::OUTCOME_REJECTED);
  EXPECT_EQ(server_.reports()[0].reason(), "no such cipher");
}

TEST_F(OutcomeReporterTest, AfterAReconnectionTheOutcomeIsToldAgainOnce) {
  reporter_.OnConnected("w1");
  reporter_.OnSnapshot(At(3));
  ASSERT_TRUE(reporter_.Report(At(3), v1::OUTCOME_APPLIED, "").ok());
  reporter_.OnHeartbeat(At(3), true);
  EXPECT_EQ(server_.reports().size(), 1u) << "the server knows";
  reporter_.OnConnected("w2");
  reporter_.OnHeartbeat(At(3), true);
  reporter_.OnHeartbeat(At(3), true);
  ASSERT_EQ(server_.reports().size(), 2u);
  EXPECT_EQ(server_.reports()[1].watch_id(), "w2");
}

TEST_F(OutcomeReporterTest, AVersionWithTheSameContentHasTheSameOutcome) {
  reporter_.OnConnected("w1");
  reporter_.OnSnapshot(At(3));
  reporter_.OnHeartbeat(At(5), true);  // nothing decided yet
  EXPECT_EQ(server_.reports().size(), 0u);
  ASSERT_TRUE(reporter_.Report(At(3), v1::OUTCOME_APPLIED, "").ok());
  ASSERT_EQ(server_.reports().size(), 1u);
  EXPECT_EQ(server_.reports()[0].version(), 5);
  reporter_.OnHeartbeat(At(6), false);
  reporter_.OnHeartbeat(At(7), true);
  ASSERT_EQ(server_.reports().size(), 2u);
  EXPECT_EQ(server_.reports()[1].version(), 7);
}

TEST_F(OutcomeReporterTest, AnOutcomeOfOlderContentIsNotTakenForTheNewer) {
  reporter_.OnConnected("w1");
  reporter_.OnSnapshot(At(3));
  reporter_.OnSnapshot(At(4));
  ASSERT_TRUE(reporter_.Report(At(3), v1::OUTCOME_APPLIED, "").ok());
  ASSERT_EQ(server_.reports().size(), 1u);
  EXPECT_EQ(server_.reports()[0].version(), 3);
  reporter_.OnHeartbeat(At(4), true);
  EXPECT_EQ(server_.reports().size(), 1u) << "of 4 nothing is known yet";
}

TEST_F(OutcomeReporterTest, WhatCouldNotBeToldIsToldWithTheNextHeartbeat) {
  server_.FailReports(grpc::Status(grpc::StatusCode::NOT_FOUND, "no such stream"));
  reporter_.OnConnected("w1");
  reporter_.OnSnapshot(At(3));
  EXPECT_EQ(reporter_.Report(At(3), v1::OUTCOME_APPLIED, "").code(), absl::StatusCode::kNotFound);
  server_.FailReports(grpc::Status::OK);
  reporter_.OnHeartbeat(At(3), true);
  EXPECT_EQ(server_.reports().size(), 1u);
}

TEST_F(OutcomeReporterTest, TheNewestDecisionIsToldLast) {
  reporter_.OnConnected("w1");
  reporter_.OnSnapshot(At(3));
  server_.HoldReports();
  std::thread applied([&] { EXPECT_TRUE(reporter_.Report(At(3), v1::OUTCOME_APPLIED, "").ok()); });
  EXPECT_TRUE(server_.AwaitHeldReport());
  std::thread rejected(
      [&] { EXPECT_TRUE(reporter_.Report(At(3), v1::OUTCOME_REJECTED, "no").ok()); });
  absl::SleepFor(absl::Milliseconds(200));
  EXPECT_EQ(server_.held_reports(), 1u) << "it overtook the one before";
  server_.ReleaseReports();
  applied.join();
  rejected.join();
  ASSERT_EQ(server_.reports().size(), 2u);
  EXPECT_EQ(server_.reports()[1].outcome(), v1::OUTCOME_REJECTED);
}

TEST(ReasonTextTest, IsBoundedAndValidUtf8) {
  EXPECT_EQ(ReasonText("fine \xc3\xa9"), "fine \xc3\xa9");
  EXPECT_EQ(ReasonText("a\xff z"), "a? z");
  const std::string torn = ReasonText(std::string(kMostReasonBytes - 1, 'x') + "\xc3\xa9 and more");
  EXPECT_EQ(torn.size(), kMostReasonBytes);
  EXPECT_TRUE(IsValidUtf8(torn));
}

}  // namespace
}  // namespace confstream
