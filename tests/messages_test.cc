#include "server/fanout/messages.h"

#include <gtest/gtest.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "tests/fakes/snapshots.h"

namespace confstream {
namespace {

TEST(FillStatusTest, TellsEverythingOfADegradedSource) {
  auto state = RefusedState(MakeSnapshot(4, {{"a.yaml", "x"}}), "mapping values are not allowed");
  state->status.since = absl::FromUnixMillis(1'700'000'000'250);
  state->status.verified_time = absl::FromUnixSeconds(1'600'000'000);
  state->status.polling_reason = "the limit is reached";
  v1::SourceStatus message;
  FillStatus(*state, 100, &message);
  EXPECT_EQ(message.state(), v1::SOURCE_STATE_DEGRADED);
  EXPECT_EQ(message.state_since().seconds(), 1'700'000'000);
  EXPECT_EQ(message.state_since().nanos(), 250'000'000);
  EXPECT_EQ(message.verified_time().seconds(), 1'600'000'000);
  EXPECT_EQ(message.change_detection(), v1::CHANGE_DETECTION_POLLING);
  EXPECT_EQ(message.served_version(), 4);
  EXPECT_EQ(message.violations_total(), 1);
  ASSERT_EQ(message.violations_size(), 1);
  EXPECT_EQ(message.violations(0).path(), "a.yaml");
  EXPECT_EQ(message.violations(0).line(), 3);
  EXPECT_EQ(message.violations(0).column(), 7);
  EXPECT_EQ(message.violations(0).rule(), "yaml.syntax");
  EXPECT_EQ(message.violations(0).message(), "mapping values are not allowed");
}

TEST(FillStatusTest, WaitingSourceServesVersionZeroAndWasNeverVerified) {
  v1::SourceStatus message;
  FillStatus(*RefusedState(nullptr, "x"), 100, &message);
  EXPECT_EQ(message.state(), v1::SOURCE_STATE_WAITING);
  EXPECT_EQ(message.served_version(), 0);
  EXPECT_FALSE(message.has_verified_time());
  EXPECT_EQ(message.change_detection(), v1::CHANGE_DETECTION_INOTIFY);
}

TEST(FillStatusTest, EveryEndOfAPinHasAReason) {
  const std::pair<PinEnd::Reason, v1::PinEndReason> pairs[] = {
      {PinEnd::kNewContent, v1::PIN_END_REASON_NEW_CONTENT},
      {PinEnd::kUnpinned, v1::PIN_END_REASON_UNPINNED},
      {PinEnd::kExpired, v1::PIN_END_REASON_EXPIRED}};
  for (const auto& [reason, expected] : pairs) {
    SourceState state;
    state.status.pin_end = PinEnd{reason, absl::FromUnixSeconds(7), 3};
    v1::SourceStatus message;
    FillStatus(state, 100, &message);
    EXPECT_EQ(message.pin_end().reason(), expected);
    EXPECT_EQ(message.pin_end().end_time().seconds(), 7);
    EXPECT_EQ(message.pin_end().version(), 3);
  }
}

TEST(FillStatusTest, EveryConditionHasAState) {
  const std::pair<SourceCondition, v1::SourceState> pairs[] = {
      {SourceCondition::kServing, v1::SOURCE_STATE_SERVING},
      {SourceCondition::kDegraded, v1::SOURCE_STATE_DEGRADED},
      {SourceCondition::kWaiting, v1::SOURCE_STATE_WAITING},
      {SourceCondition::kDetached, v1::SOURCE_STATE_DETACHED},
      {SourceCondition::kStalled, v1::SOURCE_STATE_STALLED}};
  for (const auto& [condition, expected] : pairs) {
    SourceState state;
    state.status.condition = condition;
    v1::SourceStatus message;
    FillStatus(state, 100, &message);
    EXPECT_EQ(message.state(), expected);
  }
}

TEST(FillStatusTest, NoMoreViolationsThanAskedForAreListedAndAllAreCounted) {
  SourceState state;
  for (int i = 0; i < 100; ++i)
    state.status.violations.push_back({absl::StrCat(i), 0, 0, "r", "m"});
  state.status.violations_total = 5000;
  v1::SourceStatus message;
  FillStatus(state, 10, &message);
  ASSERT_EQ(message.violations_size(), 10);
  EXPECT_EQ(message.violations(9).path(), "9");
  EXPECT_EQ(message.violations_total(), 5000);
}

TEST(FillStatusTest, TellsThePinAndWhenItEnds) {
  SourceState state;
  state.status.pin.emplace();
  state.status.pin->version = 12;
  state.status.pin->pin_time = absl::FromUnixSeconds(1'700'000'000);
  state.status.pin->reason = "the new one breaks billing";
  v1::SourceStatus message;
  FillStatus(state, 100, &message);
  EXPECT_EQ(message.pin().version(), 12);
  EXPECT_EQ(message.pin().pin_time().seconds(), 1'700'000'000);
  EXPECT_EQ(message.pin().reason(), "the new one breaks billing");
  EXPECT_FALSE(message.pin().has_expire_time()) << "it has no end";
  state.status.pin->expire_time = absl::FromUnixSeconds(1'700'000'060);
  FillStatus(state, 100, &message);
  EXPECT_EQ(message.pin().expire_time().seconds(), 1'700'000'060);
}

TEST(FillStatusTest, SourceThatIsNotPinnedHasNoPin) {
  v1::SourceStatus message;
  FillStatus(SourceState(), 100, &message);
  EXPECT_FALSE(message.has_pin());
}

TEST(FillStatusTest, TellsWhereVersionsAreKept) {
  const std::pair<HistoryStatus::State, v1::HistoryState> pairs[] = {
      {HistoryStatus::kMemory, v1::HISTORY_STATE_MEMORY},
      {HistoryStatus::kRecorded, v1::HISTORY_STATE_RECORDED},
      {HistoryStatus::kFailing, v1::HISTORY_STATE_FAILING}};
  for (const auto& [history, expected] : pairs) {
    SourceState state;
    state.status.history = {history, "what is wrong", 41};
    v1::SourceStatus message;
    FillStatus(state, 100, &message);
    EXPECT_EQ(message.history().state(), expected);
    EXPECT_EQ(message.history().problem(), "what is wrong");
    EXPECT_EQ(message.history().recorded_version(), 41);
  }
}

TEST(FillHeaderTest, TellsWhereTheContentCameFrom) {
  Snapshot snapshot = *MakeSnapshot(9, {{"a", "1"}});
  v1::ResponseHeader files;
  FillHeader(snapshot, ResumeToken{kEpochA, 9, {}, {}}, &files);
  EXPECT_EQ(files.origin(), v1::SNAPSHOT_ORIGIN_FILES);
  EXPECT_EQ(files.rolled_back_to(), 0);
  snapshot.origin = SnapshotOrigin::kRollback;
  snapshot.rolled_back_to = 4;
  v1::ResponseHeader rollback;
  FillHeader(snapshot, ResumeToken{kEpochA, 9, {}, {}}, &rollback);
  EXPECT_EQ(rollback.origin(), v1::SNAPSHOT_ORIGIN_ROLLBACK);
  EXPECT_EQ(rollback.rolled_back_to(), 4);
}

TEST(ContentTypeTest, IsToldByTheExtensionOfTheName) {
  const std::pair<const char*, const char*> pairs[] = {
      {"a.yaml", "application/yaml"},
      {"dir.json/a.YML", "application/yaml"},
      {"a.json", "application/json"},
      {"a.toml", "application/toml"},
      {"a.conf", "text/plain"},
      {"a.tar.properties", "text/plain"},
      {"a.bin", "application/octet-stream"},
      {"README", "application/octet-stream"},
      {"dir.yaml/README", "application/octet-stream"},
      {"a.", "application/octet-stream"}};
  for (const auto& [path, expected] : pairs) {
    EXPECT_EQ(std::string(ContentType(path)), expected) << path;
  }
}

}  // namespace
}  // namespace confstream
