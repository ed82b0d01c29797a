// A settled stream: what comes, in which order, and when. The first answer has
// watch_session_settle_test.cc.

#include "server/fanout/watch_session.h"

#include <gtest/gtest.h>

#include "tests/fakes/session_driver.h"

namespace confstream {
namespace {

Files A(const std::string& content) { return {{"a.yaml", content}}; }

class WatchSessionTest : public testing::Test {
 protected:
  // A stream that is complete up to version 1, of a SERVING source.
  void OpenAtVersion1(const WatchSpec& spec = WatchSpec()) {
    driver_.Publish(1, A("1"));
    driver_.Say(SourceCondition::kServing);
    driver_.Open(spec);
    driver_.Drain();
  }

  static WatchSpec Heartbeats(absl::Duration interval) {
    WatchSpec spec;
    spec.heartbeat_interval = interval;
    return spec;
  }
  static WatchSpec AtMostEvery(absl::Duration interval) {
    WatchSpec spec;
    spec.min_update_interval = interval;
    return spec;
  }

  SessionDriver driver_;
};

TEST_F(WatchSessionTest, NewVersionIsAnUpdateWithTheWholeView) {
  OpenAtVersion1();
  driver_.Publish(2, A("2"));
  const v1::WatchResponse update = driver_.MustNext();
  EXPECT_EQ(update.reason(), v1::WATCH_REASON_UPDATE);
  EXPECT_EQ(update.header().version(), 2);
  EXPECT_EQ(update.snapshot().files(0).content(), "2");
  EXPECT_TRUE(update.in_sync());
  EXPECT_EQ(update.watch_id(), "") << "on the first message only";
  EXPECT_EQ(update.skipped_versions(), 0);
  EXPECT_FALSE(driver_.Next().has_value());
}

TEST_F(WatchSessionTest, DeletionOfAllFilesIsAnUpdateWithoutFiles) {
  OpenAtVersion1();
  driver_.Publish(2, {});
  const v1::WatchResponse update = driver_.MustNext();
  EXPECT_EQ(update.event_case(), v1::WatchResponse::kSnapshot);
  EXPECT_EQ(update.snapshot().files_size(), 0);
  EXPECT_TRUE(update.in_sync());
}

// Order.

TEST_F(WatchSessionTest, VersionOnceStartedIsFinishedWhateverHappensMeanwhile) {
  OpenAtVersion1(Heartbeats(absl::Seconds(1)));
  driver_.Publish(2, A(TwoFragments('2')));
  const v1::WatchResponse first = driver_.MustNext();
  EXPECT_TRUE(first.more_fragments());
  EXPECT_FALSE(first.in_sync());

  driver_.Publish(3, A("3"));
  driver_.Say(SourceCondition::kDegraded);
  driver_.clock().Advance(absl::Minutes(1));
  driver_.End(absl::UnavailableError("bye"));
  const v1::WatchResponse last = driver_.MustNext();
  EXPECT_EQ(last.header().version(), 2);
  EXPECT_EQ(last.header().resume_token(), first.header().resume_token());
  EXPECT_EQ(last.reason(), v1::WATCH_REASON_UPDATE) << "on every fragment";
  EXPECT_FALSE(last.more_fragments());
  EXPECT_EQ(first.snapshot().files(0).content() + last.snapshot().files(0).content(),
            TwoFragments('2'));

  EXPECT_FALSE(driver_.Next().has_value());
  ASSERT_TRUE(driver_.session().end().has_value());
  EXPECT_EQ(*driver_.session().end(), absl::UnavailableError("bye"));
}

TEST_F(WatchSessionTest, LastFragmentIsInSyncOnlyIfNothingNewerCameMeanwhile) {
  OpenAtVersion1();
  driver_.Publish(2, A(TwoFragments('2')));
  driver_.MustNext();
  EXPECT_TRUE(driver_.MustNext().in_sync());

  driver_.Publish(3, A(TwoFragments('3')));
  driver_.MustNext();
  driver_.Publish(4, A("4"));
  const v1::WatchResponse overtaken = driver_.MustNext();
  EXPECT_FALSE(overtaken.in_sync());
  EXPECT_EQ(overtaken.header().version(), 3);
  const v1::WatchResponse newest = driver_.MustNext();
  EXPECT_TRUE(newest.in_sync());
  EXPECT_EQ(newest.header().version(), 4);
}

TEST_F(WatchSessionTest, LastFragmentIsInSyncIfTheNewerVersionHasTheSameView) {
  OpenAtVersion1();
  driver_.Publish(2, A(TwoFragments('2')));
  driver_.MustNext();
  driver_.Publish(3, A("3"));
  driver_.Publish(4, A(TwoFragments('2')));
  EXPECT_TRUE(driver_.MustNext().in_sync());
  EXPECT_FALSE(driver_.Next().has_value());
}

TEST_F(WatchSessionTest, FragmentsOfTheFirstAnswerComeBeforeTheOwedStatus) {
  driver_.Publish(1, A(TwoFragments('1')));
  driver_.Say(SourceCondition::kDegraded);
  driver_.Open();
  EXPECT_TRUE(driver_.MustNext().more_fragments());
  const v1::WatchResponse last = driver_.MustNext();
  EXPECT_EQ(last.event_case(), v1::WatchResponse::kSnapshot);
  EXPECT_EQ(last.watch_id(), "");
  EXPECT_EQ(driver_.MustNext().event_case(), v1::WatchResponse::kSourceStatus);
}

TEST_F(WatchSessionTest, OwedStatusComesBeforeNewContentAndBothBeforeAHeartbeat) {
  OpenAtVersion1(Heartbeats(absl::Seconds(1)));
  driver_.Publish(2, A("2"));
  driver_.Say(SourceCondition::kDegraded);
  driver_.clock().Advance(absl::Seconds(1));
  const v1::WatchResponse status = driver_.MustNext();
  EXPECT_EQ(status.source_status().state(), v1::SOURCE_STATE_DEGRADED);
  EXPECT_EQ(status.header().version(), 1) << "up to which the stream is complete";
  EXPECT_FALSE(status.in_sync());
  driver_.clock().Advance(absl::Seconds(1));
  EXPECT_EQ(driver_.MustNext().header().version(), 2);
  driver_.clock().Advance(absl::Seconds(1));
  EXPECT_EQ(driver_.MustNext().event_case(), v1::WatchResponse::kHeartbeat);
}

TEST_F(WatchSessionTest, OrdinaryStatusIsNotToldToAClientThatWasToldNothing) {
  OpenAtVersion1();
  driver_.Say(SourceCondition::kDegraded);
  driver_.Say(SourceCondition::kServing);
  EXPECT_FALSE(driver_.Next().has_value());
}

TEST_F(WatchSessionTest, EndOfATroubleIsTold) {
  OpenAtVersion1();
  driver_.Say(SourceCondition::kDegraded);
  EXPECT_EQ(driver_.MustNext().source_status().state(), v1::SOURCE_STATE_DEGRADED);
  driver_.Say(SourceCondition::kServing);
  EXPECT_EQ(driver_.MustNext().source_status().state(), v1::SOURCE_STATE_SERVING);
  EXPECT_FALSE(driver_.Next().has_value());
}

TEST_F(WatchSessionTest, OnlyTheNewestStatusIsTold) {
  OpenAtVersion1();
  driver_.Say(SourceCondition::kDegraded);
  driver_.Say(SourceCondition::kDetached);
  EXPECT_EQ(driver_.MustNext().source_status().state(), v1::SOURCE_STATE_DETACHED);
  EXPECT_FALSE(driver_.Next().has_value());
}

TEST_F(WatchSessionTest, EndComesAtOnceIfNothingWasStarted) {
  OpenAtVersion1();
  driver_.Publish(2, A("2"));
  driver_.End(absl::UnavailableError("bye"));
  EXPECT_FALSE(driver_.Next().has_value());
  EXPECT_EQ(*driver_.session().end(), absl::UnavailableError("bye"));
  EXPECT_EQ(driver_.session().NextDue(), Instant::Infinite());
}

TEST_F(WatchSessionTest, NewsAfterTheEndDoNotTakeItBack) {
  OpenAtVersion1();
  driver_.End(absl::NotFoundError("removed"));
  driver_.End(absl::UnavailableError("bye"));
  driver_.Publish(2, A("2"));
  EXPECT_FALSE(driver_.Next().has_value());
  ASSERT_TRUE(driver_.session().end().has_value());
  EXPECT_EQ(*driver_.session().end(), absl::NotFoundError("removed")) << "the first end counts";
}

TEST_F(WatchSessionTest, OpenStreamHasNoEnd) {
  OpenAtVersion1();
  EXPECT_FALSE(driver_.session().end().has_value());
}

TEST_F(WatchSessionTest, SourceThatLosesItsContentLeavesTheClientWithWhatItHolds) {
  OpenAtVersion1(Heartbeats(absl::Seconds(1)));
  driver_.Lose();
  driver_.Say(SourceCondition::kWaiting);
  EXPECT_EQ(driver_.MustNext().source_status().state(), v1::SOURCE_STATE_WAITING);
  EXPECT_FALSE(driver_.Next().has_value());
  driver_.clock().Advance(absl::Seconds(1));
  const v1::WatchResponse heartbeat = driver_.MustNext();
  EXPECT_FALSE(heartbeat.in_sync());
  EXPECT_EQ(heartbeat.header().version(), 1);
}

// Skipped versions.

TEST_F(WatchSessionTest, SkippedVersionsAreThoseThatChangedTheViewAndWereLeftOut) {
  driver_.Publish(1, A("1"));
  driver_.Say(SourceCondition::kServing);
  driver_.Open();
  EXPECT_EQ(driver_.MustNext().skipped_versions(), 0);
  for (int64_t version = 2; version <= 5; ++version) {
    driver_.Publish(version, A(std::to_string(version)));
  }
  const v1::WatchResponse update = driver_.MustNext();
  EXPECT_EQ(update.header().version(), 5);
  EXPECT_EQ(update.skipped_versions(), 3);
  driver_.Publish(6, A("6"));
  EXPECT_EQ(driver_.MustNext().skipped_versions(), 0);
}

TEST_F(WatchSessionTest, VersionsThatLeftTheViewAloneAreNotCountedAsSkipped) {
  SessionDriver driver({"*.yaml"});
  driver.Publish(1, {{"a.yaml", "1"}, {"b", "1"}});
  driver.Say(SourceCondition::kServing);
  driver.Open();
  driver.Drain();
  driver.Publish(2, {{"a.yaml", "1"}, {"b", "2"}});
  driver.Publish(3, {{"a.yaml", "3"}, {"b", "2"}});
  driver.Publish(4, {{"a.yaml", "3"}, {"b", "4"}});
  driver.Publish(5, {{"a.yaml", "5"}, {"b", "4"}});
  const v1::WatchResponse update = driver.MustNext();
  EXPECT_EQ(update.header().version(), 5);
  EXPECT_EQ(update.skipped_versions(), 1);
}

TEST_F(WatchSessionTest, ChangeAndItsReversalAreNoContentAndCountWithTheNext) {
  OpenAtVersion1();
  driver_.Publish(2, A("2"));
  driver_.Publish(3, A("1"));
  EXPECT_FALSE(driver_.Next().has_value());
  driver_.Publish(4, A("4"));
  const v1::WatchResponse update = driver_.MustNext();
  EXPECT_EQ(update.header().version(), 4);
  EXPECT_EQ(update.skipped_versions(), 2) << "2 and 3 both changed the view and were left out";
}

TEST_F(WatchSessionTest, VersionsPublishedBetweenFragmentsAreCountedAsSkipped) {
  OpenAtVersion1();
  driver_.Publish(2, A(TwoFragments('2')));
  EXPECT_EQ(driver_.MustNext().skipped_versions(), 0);
  driver_.Publish(3, A("3"));
  driver_.Publish(4, A(TwoFragments('4')));
  EXPECT_EQ(driver_.MustNext().skipped_versions(), 0);
  EXPECT_EQ(driver_.MustNext().skipped_versions(), 1) << "on the first fragment of version 4";
  EXPECT_EQ(driver_.MustNext().skipped_versions(), 0) << "on no other";
}

TEST_F(WatchSessionTest, VersionThatDoesNotChangeTheViewMovesTheNextHeartbeatOn) {
  OpenAtVersion1(Heartbeats(absl::Seconds(10)));
  driver_.Publish(2, A("1"));
  EXPECT_FALSE(driver_.Next().has_value());
  driver_.clock().Advance(absl::Seconds(10));
  const v1::WatchResponse heartbeat = driver_.MustNext();
  EXPECT_EQ(heartbeat.event_case(), v1::WatchResponse::kHeartbeat);
  EXPECT_EQ(heartbeat.header().version(), 2);
  EXPECT_EQ(heartbeat.header().resume_token(), driver_.token().Encode());
  EXPECT_TRUE(heartbeat.in_sync());
}

// Time.

TEST_F(WatchSessionTest, HeartbeatComesAfterItsIntervalWithoutAnyMessage) {
  OpenAtVersion1(Heartbeats(absl::Seconds(10)));
  EXPECT_EQ(driver_.DueIn(), absl::Seconds(10));
  driver_.clock().Advance(absl::Seconds(10) - absl::Nanoseconds(1));
  EXPECT_FALSE(driver_.Next().has_value());
  driver_.clock().Advance(absl::Nanoseconds(1));
  const v1::WatchResponse heartbeat = driver_.MustNext();
  EXPECT_EQ(heartbeat.event_case(), v1::WatchResponse::kHeartbeat);
  EXPECT_EQ(heartbeat.header().version(), 1);
  EXPECT_TRUE(heartbeat.in_sync());
  EXPECT_FALSE(driver_.Next().has_value());
  EXPECT_EQ(driver_.DueIn(), absl::Seconds(10));
}

TEST_F(WatchSessionTest, AnyMessageStartsTheHeartbeatIntervalAnew) {
  OpenAtVersion1(Heartbeats(absl::Seconds(10)));
  driver_.clock().Advance(absl::Seconds(9));
  driver_.Publish(2, A("2"));
  driver_.MustNext();
  driver_.clock().Advance(absl::Seconds(9));
  EXPECT_FALSE(driver_.Next().has_value());
  driver_.Say(SourceCondition::kDegraded);
  driver_.MustNext();
  driver_.clock().Advance(absl::Seconds(9));
  EXPECT_FALSE(driver_.Next().has_value());
  EXPECT_EQ(driver_.DueIn(), absl::Seconds(1));
  driver_.clock().Advance(absl::Seconds(1));
  EXPECT_EQ(driver_.MustNext().event_case(), v1::WatchResponse::kHeartbeat);
}

TEST_F(WatchSessionTest, WithoutAHeartbeatIntervalNothingEverComesUnasked) {
  OpenAtVersion1();
  EXPECT_EQ(driver_.session().NextDue(), Instant::Infinite());
  driver_.clock().Advance(absl::Hours(10000));
  EXPECT_FALSE(driver_.Next().has_value());
}

TEST_F(WatchSessionTest, UpdatesWithinTheLeastIntervalAreHeldAndTheNewestIsSent) {
  OpenAtVersion1(AtMostEvery(absl::Seconds(60)));
  driver_.clock().Advance(absl::Seconds(20));
  driver_.Publish(2, A("2"));
  EXPECT_FALSE(driver_.Next().has_value());
  EXPECT_EQ(driver_.DueIn(), absl::Seconds(40));
  driver_.Publish(3, A("3"));
  driver_.clock().Advance(absl::Seconds(40) - absl::Nanoseconds(1));
  EXPECT_FALSE(driver_.Next().has_value());
  driver_.clock().Advance(absl::Nanoseconds(1));
  const v1::WatchResponse update = driver_.MustNext();
  EXPECT_EQ(update.header().version(), 3);
  EXPECT_EQ(update.skipped_versions(), 1);
  driver_.Publish(4, A("4"));
  EXPECT_FALSE(driver_.Next().has_value());
  EXPECT_EQ(driver_.DueIn(), absl::Seconds(60));
}

TEST_F(WatchSessionTest, LeastIntervalRunsBetweenBeginningsOfVersions) {
  OpenAtVersion1(AtMostEvery(absl::Seconds(60)));
  driver_.clock().Advance(absl::Seconds(60));
  driver_.Publish(2, A(TwoFragments('2')));
  driver_.MustNext();
  driver_.clock().Advance(absl::Seconds(50));
  driver_.MustNext();
  driver_.Publish(3, A("3"));
  EXPECT_FALSE(driver_.Next().has_value());
  EXPECT_EQ(driver_.DueIn(), absl::Seconds(10));
}

TEST_F(WatchSessionTest, HeartbeatWhileAnUpdateIsHeldIsNotInSync) {
  WatchSpec spec = AtMostEvery(absl::Seconds(60));
  spec.heartbeat_interval = absl::Seconds(10);
  OpenAtVersion1(spec);
  driver_.Publish(2, A("2"));
  EXPECT_FALSE(driver_.Next().has_value());
  EXPECT_EQ(driver_.DueIn(), absl::Seconds(10));
  driver_.clock().Advance(absl::Seconds(10));
  const v1::WatchResponse heartbeat = driver_.MustNext();
  EXPECT_EQ(heartbeat.event_case(), v1::WatchResponse::kHeartbeat);
  EXPECT_FALSE(heartbeat.in_sync());
  EXPECT_EQ(heartbeat.header().version(), 1);
}

TEST_F(WatchSessionTest, StatusIsNotHeldByTheLeastInterval) {
  OpenAtVersion1(AtMostEvery(absl::Hours(1)));
  driver_.Say(SourceCondition::kDegraded);
  EXPECT_EQ(driver_.MustNext().event_case(), v1::WatchResponse::kSourceStatus);
}

TEST_F(WatchSessionTest, FirstUpdateOfAResumedStreamIsNotHeldEvenIfTheMachineHasJustStarted) {
  // No snapshot was sent on this stream before, so there is nothing to keep a distance from. The
  // clock of the driver is 20 s after the start of the machine.
  driver_.Publish(1, A("1"));
  driver_.Say(SourceCondition::kServing);
  driver_.Resume(driver_.token(), AtMostEvery(absl::Hours(1)));
  driver_.Drain();
  driver_.Publish(2, A("2"));
  EXPECT_EQ(driver_.MustNext().header().version(), 2);
}

// until_in_sync.

class UntilInSyncTest : public WatchSessionTest {
 protected:
  UntilInSyncTest() { spec_.until_in_sync = true; }

  void ExpectEnded() {
    EXPECT_FALSE(driver_.Next().has_value());
    ASSERT_TRUE(driver_.session().end().has_value());
    EXPECT_TRUE(driver_.session().end()->ok());
  }

  WatchSpec spec_;
};

TEST_F(UntilInSyncTest, EndsAfterTheSnapshotWithOk) {
  driver_.Publish(1, A("1"));
  driver_.Say(SourceCondition::kDegraded);
  driver_.Open(spec_);
  EXPECT_TRUE(driver_.MustNext().in_sync());
  ExpectEnded();
}

TEST_F(UntilInSyncTest, EndsAfterTheHeartbeatOfACurrentToken) {
  driver_.Publish(1, A("1"));
  driver_.Resume(driver_.token(), spec_);
  EXPECT_TRUE(driver_.MustNext().in_sync());
  ExpectEnded();
}

TEST_F(UntilInSyncTest, EndsAfterTheLastFragmentOnly) {
  driver_.Publish(1, A(TwoFragments('1')));
  driver_.Open(spec_);
  driver_.MustNext();
  EXPECT_FALSE(driver_.session().end().has_value());
  EXPECT_TRUE(driver_.MustNext().in_sync());
  ExpectEnded();
}

TEST_F(UntilInSyncTest, WaitsForTheFirstContentOfAWaitingSource) {
  driver_.Open(spec_);
  EXPECT_EQ(driver_.MustNext().event_case(), v1::WatchResponse::kSourceStatus);
  EXPECT_FALSE(driver_.Next().has_value());
  EXPECT_FALSE(driver_.session().end().has_value());
  driver_.Publish(1, A("1"));
  EXPECT_TRUE(driver_.MustNext().in_sync());
  ExpectEnded();
}

TEST_F(UntilInSyncTest, GoesOnToTheNewestIfTheContentWasOvertaken) {
  driver_.Say(SourceCondition::kServing);
  driver_.Publish(1, A(TwoFragments('1')));
  driver_.Open(spec_);
  driver_.MustNext();
  driver_.Publish(2, A("2"));
  EXPECT_FALSE(driver_.MustNext().in_sync());
  const v1::WatchResponse newest = driver_.MustNext();
  EXPECT_TRUE(newest.in_sync());
  EXPECT_EQ(newest.header().version(), 2);
  ExpectEnded();
}

}  // namespace
}  // namespace confstream
