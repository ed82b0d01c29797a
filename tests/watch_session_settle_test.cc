// The first answer on a stream: what settles the client.

#include <gtest/gtest.h>

#include "server/fanout/watch_session.h"
#include "tests/fakes/session_driver.h"

namespace confstream {
namespace {

const Files kOld = {{"a.yaml", "old"}};
const Files kNew = {{"a.yaml", "new"}};

class WatchSessionSettleTest : public testing::Test {
 protected:
  WatchSessionSettleTest() {
    driver_.Publish(7, kOld);
    old_token_ = driver_.token();
    driver_.Publish(8, kNew);
    driver_.Say(SourceCondition::kServing);
  }

  // Expects that the whole content is the answer.
  void ExpectSnapshot(v1::WatchReason reason) {
    const v1::WatchResponse first = driver_.MustNext();
    EXPECT_EQ(first.reason(), reason);
    ASSERT_EQ(first.snapshot().files_size(), 1);
    EXPECT_EQ(first.snapshot().files(0).content(), "new");
    EXPECT_EQ(first.header().version(), 8);
    EXPECT_TRUE(first.in_sync());
    EXPECT_FALSE(first.more_fragments());
    EXPECT_EQ(first.skipped_versions(), 0) << "nothing was published while the stream was open";
    EXPECT_EQ(first.watch_id(), "the-watch-id");
    EXPECT_FALSE(driver_.Next().has_value());
  }

  // Expects that the client is told that it holds the newest.
  void ExpectInSyncHeartbeat() {
    const v1::WatchResponse first = driver_.MustNext();
    EXPECT_EQ(first.event_case(), v1::WatchResponse::kHeartbeat);
    EXPECT_EQ(first.reason(), v1::WATCH_REASON_UNSPECIFIED);
    EXPECT_TRUE(first.in_sync());
    EXPECT_EQ(first.watch_id(), "the-watch-id");
    EXPECT_EQ(first.header().version(), 8);
    EXPECT_EQ(first.header().epoch(), kEpochA);
    EXPECT_EQ(first.header().resume_token(), driver_.token().Encode());
    EXPECT_FALSE(driver_.Next().has_value());
  }

  SessionDriver driver_;
  ResumeToken old_token_;
};

TEST_F(WatchSessionSettleTest, WithoutTokenTheSnapshotIsInitial) {
  driver_.Open();
  ExpectSnapshot(v1::WATCH_REASON_INITIAL);
}

TEST_F(WatchSessionSettleTest, CurrentTokenIsInSyncWithoutContent) {
  driver_.Resume(driver_.token());
  ExpectInSyncHeartbeat();
}

TEST_F(WatchSessionSettleTest, EqualContentOfAnotherEpochIsInSyncUnderTheNewEpoch) {
  ResumeToken token = driver_.token();
  token.epoch = kEpochB;
  token.version = 1000;
  driver_.Resume(token);
  ExpectInSyncHeartbeat();
}

TEST_F(WatchSessionSettleTest, EqualContentOfAnOlderVersionIsInSync) {
  ResumeToken token = driver_.token();
  token.version = 3;
  driver_.Resume(token);
  ExpectInSyncHeartbeat();
}

TEST_F(WatchSessionSettleTest, OlderVersionOfTheEpochIsUpdated) {
  driver_.Resume(old_token_);
  ExpectSnapshot(v1::WATCH_REASON_UPDATE);
}

TEST_F(WatchSessionSettleTest, TokenThatIsNoneOfThisServersIsResynced) {
  driver_.Resume(std::nullopt);
  ExpectSnapshot(v1::WATCH_REASON_RESYNC);
}

TEST_F(WatchSessionSettleTest, OtherContentOfAnotherEpochIsResynced) {
  old_token_.epoch = kEpochB;
  driver_.Resume(old_token_);
  ExpectSnapshot(v1::WATCH_REASON_RESYNC);
}

TEST_F(WatchSessionSettleTest, VersionAheadOfTheServerIsResynced) {
  old_token_.version = 9;
  driver_.Resume(old_token_);
  ExpectSnapshot(v1::WATCH_REASON_RESYNC);
}

TEST_F(WatchSessionSettleTest, CurrentVersionWithOtherContentIsResynced) {
  old_token_.version = 8;
  driver_.Resume(old_token_);
  ExpectSnapshot(v1::WATCH_REASON_RESYNC);
}

TEST_F(WatchSessionSettleTest, VersionThatNeverWasIsResynced) {
  for (const int64_t version : {int64_t{0}, int64_t{-1}, INT64_MIN}) {
    old_token_.version = version;
    driver_.Resume(old_token_);
    ExpectSnapshot(v1::WATCH_REASON_RESYNC);
  }
}

TEST_F(WatchSessionSettleTest, TokenOfAnotherViewIsResyncedEvenIfItsContentIsEqual) {
  ResumeToken token = driver_.token();
  token.view_hash = View::Parse({"a.yaml"})->HashFor("app");
  driver_.Resume(token);
  ExpectSnapshot(v1::WATCH_REASON_RESYNC);
}

TEST_F(WatchSessionSettleTest, TokenOfAnotherSourceIsResyncedEvenIfItsContentIsEqual) {
  ResumeToken token = driver_.token();
  token.view_hash = driver_.view().HashFor("other");
  driver_.Resume(token);
  ExpectSnapshot(v1::WATCH_REASON_RESYNC);
}

TEST_F(WatchSessionSettleTest, DegradedSourceSettlesTheClientBeforeItTellsTheStatus) {
  driver_.Say(SourceCondition::kDegraded);
  driver_.Open();
  EXPECT_EQ(driver_.MustNext().event_case(), v1::WatchResponse::kSnapshot);
  const v1::WatchResponse status = driver_.MustNext();
  EXPECT_EQ(status.source_status().state(), v1::SOURCE_STATE_DEGRADED);
  EXPECT_EQ(status.header().version(), 8);
  EXPECT_TRUE(status.in_sync());
}

TEST_F(WatchSessionSettleTest, LaterVersionGoesOnFromTheOneThatATokenStoodFor) {
  driver_.Resume(driver_.token());
  driver_.Drain();
  driver_.Publish(9, kOld);
  driver_.Publish(10, {{"a.yaml", "newest"}});
  const v1::WatchResponse update = driver_.MustNext();
  EXPECT_EQ(update.reason(), v1::WATCH_REASON_UPDATE);
  EXPECT_EQ(update.header().version(), 10);
  EXPECT_EQ(update.skipped_versions(), 1);
}

class WaitingSourceTest : public testing::Test {
 protected:
  SessionDriver driver_;  // WAITING until told otherwise
};

TEST_F(WaitingSourceTest, StatusComesFirstAndTheSnapshotIsInitialWhenItComes) {
  driver_.Open();
  const v1::WatchResponse status = driver_.MustNext();
  EXPECT_EQ(status.source_status().state(), v1::SOURCE_STATE_WAITING);
  EXPECT_EQ(status.watch_id(), "the-watch-id");
  EXPECT_FALSE(status.in_sync());
  EXPECT_EQ(status.header().source(), "app");
  EXPECT_EQ(status.header().epoch(), kEpochA);
  EXPECT_EQ(status.header().version(), 0);
  EXPECT_EQ(status.header().resume_token(), "");
  EXPECT_FALSE(driver_.Next().has_value());

  driver_.Publish(1, kOld);
  driver_.Say(SourceCondition::kServing);
  const v1::WatchResponse snapshot = driver_.MustNext();
  EXPECT_EQ(snapshot.reason(), v1::WATCH_REASON_INITIAL);
  EXPECT_EQ(snapshot.watch_id(), "");
  EXPECT_TRUE(snapshot.in_sync());
  EXPECT_EQ(driver_.MustNext().source_status().state(), v1::SOURCE_STATE_SERVING);
  EXPECT_FALSE(driver_.Next().has_value());
}

TEST_F(WaitingSourceTest, HeartbeatsAreNotInSyncAndHaveNoVersion) {
  WatchSpec spec;
  spec.heartbeat_interval = absl::Seconds(10);
  driver_.Open(spec);
  driver_.Drain();
  driver_.clock().Advance(absl::Seconds(10));
  const v1::WatchResponse heartbeat = driver_.MustNext();
  EXPECT_EQ(heartbeat.event_case(), v1::WatchResponse::kHeartbeat);
  EXPECT_FALSE(heartbeat.in_sync());
  EXPECT_EQ(heartbeat.header().version(), 0);
  EXPECT_EQ(heartbeat.header().source(), "app");
}

TEST_F(WaitingSourceTest, TokenIsJudgedByTheFirstContentThatComes) {
  SessionDriver earlier;
  earlier.Publish(5, kOld, kEpochB);
  driver_.Resume(earlier.token());
  EXPECT_EQ(driver_.MustNext().event_case(), v1::WatchResponse::kSourceStatus);
  driver_.Publish(1, kOld);
  const v1::WatchResponse settled = driver_.MustNext();
  EXPECT_EQ(settled.event_case(), v1::WatchResponse::kHeartbeat);
  EXPECT_TRUE(settled.in_sync());
  EXPECT_EQ(settled.header().version(), 1);
}

TEST_F(WaitingSourceTest, ContentThatIsNotTheTokensIsResynced) {
  SessionDriver earlier;
  earlier.Publish(5, kOld, kEpochB);
  driver_.Resume(earlier.token());
  driver_.Drain();
  driver_.Publish(1, kNew);
  EXPECT_EQ(driver_.MustNext().reason(), v1::WATCH_REASON_RESYNC);
}

}  // namespace
}  // namespace confstream
