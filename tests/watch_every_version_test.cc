// Streams with every_version: each version that changed the view, in order, or an error.

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "server/base/error_reason.h"
#include "server/fanout/watch_session.h"
#include "tests/fakes/client_copy.h"
#include "tests/fakes/session_driver.h"

namespace confstream {
namespace {

Files A(const std::string& content) { return {{"a.yaml", content}, {"b", "b"}, {"c", "c"}}; }

// Another file, which is not in the view `*.yaml`, says `content`.
Files B(const std::string& content) { return {{"a.yaml", "1"}, {"b", content}}; }

WatchSpec EveryVersion() {
  WatchSpec spec;
  spec.every_version = true;
  return spec;
}

class EveryVersionTest : public testing::Test {
 protected:
  explicit EveryVersionTest(std::vector<std::string> globs = {}) : driver_(std::move(globs)) {
    driver_.Say(SourceCondition::kServing);
  }

  // The token of the version.
  ResumeToken Publish(int64_t version, const Files& files, const std::string& epoch = kEpochA) {
    driver_.Publish(version, files, epoch);
    return driver_.token();
  }

  // Expects `version` whole, as an update.
  void ExpectVersion(int64_t version, const std::string& content, bool in_sync) {
    const v1::WatchResponse update = driver_.MustNext();
    EXPECT_EQ(update.header().version(), version);
    EXPECT_EQ(update.reason(), v1::WATCH_REASON_UPDATE);
    ASSERT_GE(update.snapshot().files_size(), 1);
    EXPECT_EQ(update.snapshot().files(0).content(), content);
    EXPECT_EQ(update.in_sync(), in_sync) << "version " << version;
    EXPECT_EQ(update.skipped_versions(), 0);
  }
  void ExpectNothing() {
    EXPECT_FALSE(driver_.Next().has_value());
    EXPECT_FALSE(driver_.session().end().has_value());
  }
  void ExpectEnd(absl::StatusCode code, const std::string& says) {
    EXPECT_FALSE(driver_.Next().has_value());
    ASSERT_TRUE(driver_.session().end().has_value());
    const absl::Status end = *driver_.session().end();
    EXPECT_EQ(end.code(), code) << end;
    EXPECT_EQ(ReasonOf(end), kVersionCompacted);
    EXPECT_NE(end.message().find(says), absl::string_view::npos) << end;
  }

  SessionDriver driver_;
};

TEST_F(EveryVersionTest, WithoutTokenItStartsAtTheCurrentVersion) {
  Publish(1, A("1"));
  Publish(2, A("2"));
  driver_.Open(EveryVersion());
  const v1::WatchResponse first = driver_.MustNext();
  EXPECT_EQ(first.reason(), v1::WATCH_REASON_INITIAL);
  EXPECT_EQ(first.header().version(), 2);
  EXPECT_TRUE(first.in_sync());
  ExpectNothing();
}

TEST_F(EveryVersionTest, VersionsPublishedMeanwhileComeInOrderAndOnlyTheLastIsInSync) {
  Publish(1, A("1"));
  driver_.Open(EveryVersion());
  driver_.Drain();
  for (int64_t version = 2; version <= 5; ++version) Publish(version, A(absl::StrCat(version)));
  for (int64_t version = 2; version <= 5; ++version) {
    ExpectVersion(version, absl::StrCat(version), version == 5);
  }
  ExpectNothing();
}

TEST_F(EveryVersionTest, ChangeAndItsReversalAreBothDelivered) {
  Publish(1, A("A"));
  driver_.Open(EveryVersion());
  driver_.Drain();
  Publish(2, A("B"));
  Publish(3, A("A"));
  ExpectVersion(2, "B", false);
  ExpectVersion(3, "A", true);
  ExpectNothing();
}

TEST_F(EveryVersionTest, ChangeAndItsReversalBehindATokenAreBothDelivered) {
  const ResumeToken token = Publish(1, A("A"));
  Publish(2, A("B"));
  Publish(3, A("A"));
  driver_.Resume(token, EveryVersion());
  ExpectVersion(2, "B", false);
  ExpectVersion(3, "A", true);
  ExpectNothing();
}

TEST_F(EveryVersionTest, VersionOvertakenBetweenItsFragmentsIsFinishedAndTheOthersFollow) {
  Publish(1, A("1"));
  driver_.Open(EveryVersion());
  driver_.Drain();
  Publish(2, A(TwoFragments('2')));
  EXPECT_TRUE(driver_.MustNext().more_fragments());
  Publish(3, A("3"));
  Publish(4, A("4"));
  const v1::WatchResponse last = driver_.MustNext();
  EXPECT_EQ(last.header().version(), 2);
  EXPECT_FALSE(last.in_sync());
  ExpectVersion(3, "3", false);
  ExpectVersion(4, "4", true);
}

TEST_F(EveryVersionTest, NewerVersionsFollowAToken) {
  Publish(1, A("1"));
  const ResumeToken token = Publish(2, A("2"));
  Publish(3, A("3"));
  Publish(4, A("4"));
  driver_.Resume(token, EveryVersion());
  ExpectVersion(3, "3", false);
  ExpectVersion(4, "4", true);
  ExpectNothing();
}

TEST_F(EveryVersionTest, CurrentTokenIsInSyncWithoutContent) {
  Publish(1, A("1"));
  driver_.Resume(Publish(2, A("2")), EveryVersion());
  const v1::WatchResponse first = driver_.MustNext();
  EXPECT_EQ(first.event_case(), v1::WatchResponse::kHeartbeat);
  EXPECT_TRUE(first.in_sync());
  EXPECT_EQ(first.header().version(), 2);
  ExpectNothing();
  Publish(3, A("3"));
  ExpectVersion(3, "3", true);
}

TEST_F(EveryVersionTest, StatusComesBetweenVersions) {
  Publish(1, A("1"));
  driver_.Open(EveryVersion());
  driver_.Drain();
  Publish(2, A("2"));
  Publish(3, A("3"));
  ExpectVersion(2, "2", false);
  driver_.Say(SourceCondition::kDegraded);
  const v1::WatchResponse status = driver_.MustNext();
  EXPECT_EQ(status.event_case(), v1::WatchResponse::kSourceStatus);
  EXPECT_EQ(status.header().version(), 2);
  EXPECT_FALSE(status.in_sync());
  ExpectVersion(3, "3", true);
}

TEST_F(EveryVersionTest, LeastIntervalHoldsVersionsWithoutLosingOne) {
  WatchSpec spec = EveryVersion();
  spec.min_update_interval = absl::Seconds(60);
  Publish(1, A("1"));
  driver_.Open(spec);
  driver_.Drain();
  Publish(2, A("2"));
  Publish(3, A("3"));
  ExpectNothing();
  EXPECT_EQ(driver_.DueIn(), absl::Seconds(60));
  driver_.clock().Advance(absl::Seconds(60));
  ExpectVersion(2, "2", false);
  ExpectNothing();
  driver_.clock().Advance(absl::Seconds(60));
  ExpectVersion(3, "3", true);
}

TEST_F(EveryVersionTest, UntilInSyncEndsAtTheNewest) {
  WatchSpec spec = EveryVersion();
  spec.until_in_sync = true;
  const ResumeToken token = Publish(1, A("1"));
  Publish(2, A("2"));
  Publish(3, A("3"));
  driver_.Resume(token, spec);
  ExpectVersion(2, "2", false);
  EXPECT_FALSE(driver_.session().end().has_value());
  ExpectVersion(3, "3", true);
  EXPECT_FALSE(driver_.Next().has_value());
  EXPECT_EQ(driver_.session().end(), absl::OkStatus());
}

TEST_F(EveryVersionTest, DeltasComeAgainstTheVersionBefore) {
  WatchSpec spec = EveryVersion();
  spec.deltas = true;
  const ResumeToken token = Publish(1, A("1"));
  for (int64_t version = 2; version <= 9; ++version) Publish(version, A(absl::StrCat(version)));
  driver_.Resume(token, spec);
  ClientCopy copy(1, A("1"));
  for (int64_t version = 2; version <= 9; ++version) {
    const v1::WatchResponse update = driver_.MustNext();
    EXPECT_EQ(update.delta().base_version(), version - 1);
    copy.Take(update);
    EXPECT_EQ(copy.version(), version);
    EXPECT_EQ(copy.files(), A(absl::StrCat(version)));
  }
  ExpectNothing();
}

TEST_F(EveryVersionTest, WaitingSourceJudgesTheTokenWhenItsFirstContentComes) {
  const ResumeToken token = Publish(1, A("1"));
  driver_.Lose();
  driver_.Say(SourceCondition::kWaiting);
  driver_.Resume(token, EveryVersion());
  EXPECT_EQ(driver_.MustNext().event_case(), v1::WatchResponse::kSourceStatus);
  ExpectNothing();
  Publish(2, A("2"));
  ExpectVersion(2, "2", true);
}

TEST_F(EveryVersionTest, ThousandVersionsBehindATokenComeInOrder) {
  const ResumeToken token = Publish(1, A("1"));
  for (int64_t version = 2; version <= 1000; ++version) Publish(version, A(absl::StrCat(version)));
  driver_.Resume(token, EveryVersion());
  for (int64_t version = 2; version <= 1000; ++version) {
    ExpectVersion(version, absl::StrCat(version), version == 1000);
  }
  ExpectNothing();
}

// Errors at the start.

TEST_F(EveryVersionTest, TokenOlderThanWhatWasDroppedIsOutOfRangeAndTheOldestIsNamed) {
  const ResumeToken token = Publish(1, A("1"));
  for (int64_t version = 2; version <= 9; ++version) Publish(version, A(absl::StrCat(version)));
  driver_.history().DropUpTo(4);
  driver_.Resume(token, EveryVersion());
  ExpectEnd(absl::StatusCode::kOutOfRange, "the oldest retained version is 5");
}

TEST_F(EveryVersionTest, TokenOfTheVersionThatWasDroppedLastIsGoodSinceNothingAfterItIsMissing) {
  const ResumeToken token = Publish(1, A("1"));
  Publish(2, A("2"));
  Publish(3, A("3"));
  driver_.history().DropUpTo(1);
  driver_.Resume(token, EveryVersion());
  ExpectVersion(2, "2", false);
  ExpectVersion(3, "3", true);
}

TEST_F(EveryVersionTest, TokenOfAVersionThatWasLostWithTheServerIsGood) {
  Publish(1, A("1"));
  const ResumeToken token = Publish(2, A("2"));
  driver_.history().Lose(2);
  Publish(1001, A("3"));
  driver_.Resume(token, EveryVersion());
  ExpectVersion(1001, "3", true);
}

TEST_F(EveryVersionTest, LostVersionWithTheContentOfTheNextIsInSync) {
  Publish(1, A("1"));
  const ResumeToken token = Publish(2, A("2"));
  driver_.history().Lose(2);
  Publish(1001, A("2"));
  driver_.Resume(token, EveryVersion());
  EXPECT_TRUE(driver_.MustNext().in_sync());
  ExpectNothing();
}

TEST_F(EveryVersionTest, TokenAheadOfTheServerIsOutOfRange) {
  Publish(1, A("1"));
  ResumeToken token = Publish(2, A("2"));
  token.version = 3;
  driver_.Resume(token, EveryVersion());
  ExpectEnd(absl::StatusCode::kOutOfRange, "ahead");
}

TEST_F(EveryVersionTest, TokenOfAnotherEpochIsOutOfRangeEvenIfItsContentIsEqual) {
  Publish(1, A("1"));
  ResumeToken token = Publish(2, A("2"));
  token.epoch = kEpochB;
  for (const int64_t version : {1, 2, 77}) {
    token.version = version;
    driver_.Resume(token, EveryVersion());
    ExpectEnd(absl::StatusCode::kOutOfRange, "another epoch");
  }
}

TEST_F(EveryVersionTest, TokenOfTheCurrentVersionWithOtherContentIsOutOfRange) {
  ResumeToken token = Publish(1, A("1"));
  token.view_digest = Sha256::Of("x");
  driver_.Resume(token, EveryVersion());
  ExpectEnd(absl::StatusCode::kOutOfRange, "the oldest retained version is 1");
}

TEST_F(EveryVersionTest, TokenThatIsNoneOrOfAnotherViewOrImpossibleIsOutOfRange) {
  ResumeToken other_view = Publish(1, A("1"));
  ResumeToken no_version = other_view;
  no_version.version = 0;
  ResumeToken least = other_view;
  least.version = INT64_MIN;
  other_view.view_hash = View::Parse({"a.yaml"})->HashFor("app");
  const std::optional<ResumeToken> tokens[] = {std::nullopt, other_view, no_version, least};
  for (const auto& token : tokens) {
    driver_.Resume(token, EveryVersion());
    ExpectEnd(absl::StatusCode::kOutOfRange, "the oldest retained version is 1");
  }
}

// Epochs that change while the server runs.

TEST_F(EveryVersionTest, VersionsOfANewEpochFollowThoseOfTheOld) {
  const ResumeToken token = Publish(1, A("1"));
  Publish(2, A("2"));
  Publish(3, A("3"), kEpochB);
  driver_.Resume(token, EveryVersion());
  ExpectVersion(2, "2", false);
  const v1::WatchResponse last = driver_.MustNext();
  EXPECT_EQ(last.header().epoch(), kEpochB);
  EXPECT_EQ(last.header().version(), 3);
  EXPECT_TRUE(last.in_sync());
  Publish(4, A("4"), kEpochB);
  ExpectVersion(4, "4", true);
}

TEST_F(EveryVersionTest, SameContentUnderANewEpochIsNoVersionToSend) {
  WatchSpec spec = EveryVersion();
  spec.heartbeat_interval = absl::Seconds(10);
  Publish(1, A("1"));
  driver_.Open(spec);
  driver_.Drain();
  Publish(2, A("1"), kEpochB);
  ExpectNothing();
  driver_.clock().Advance(absl::Seconds(10));
  EXPECT_EQ(driver_.MustNext().header().epoch(), kEpochB);
  Publish(3, A("3"), kEpochB);
  ExpectVersion(3, "3", true);
}

// Retention that overtakes.

TEST_F(EveryVersionTest, RetentionThatOvertakesAnOpenStreamEndsIt) {
  Publish(1, A("1"));
  driver_.Open(EveryVersion());
  driver_.Drain();
  for (int64_t version = 2; version <= 9; ++version) Publish(version, A(absl::StrCat(version)));
  ExpectVersion(2, "2", false);
  driver_.history().DropUpTo(4);
  ExpectEnd(absl::StatusCode::kResourceExhausted, "the oldest retained version is 5");
}

TEST_F(EveryVersionTest, RetentionThatHasJustReachedTheStreamLeavesIt) {
  Publish(1, A("1"));
  driver_.Open(EveryVersion());
  driver_.Drain();
  for (int64_t version = 2; version <= 9; ++version) Publish(version, A(absl::StrCat(version)));
  ExpectVersion(2, "2", false);
  driver_.history().DropUpTo(2);
  ExpectVersion(3, "3", false);
}

TEST_F(EveryVersionTest, VersionInFlightIsFinishedBeforeTheErrorIsTold) {
  Publish(1, A("1"));
  driver_.Open(EveryVersion());
  driver_.Drain();
  Publish(2, A(TwoFragments('2')));
  EXPECT_TRUE(driver_.MustNext().more_fragments());
  for (int64_t version = 3; version <= 9; ++version) Publish(version, A(absl::StrCat(version)));
  driver_.history().DropUpTo(8);
  const v1::WatchResponse last = driver_.MustNext();
  EXPECT_EQ(last.header().version(), 2);
  EXPECT_FALSE(last.more_fragments());
  ExpectEnd(absl::StatusCode::kResourceExhausted, "9");
}

// Views.

class FilteredEveryVersionTest : public EveryVersionTest {
 protected:
  FilteredEveryVersionTest() : EveryVersionTest({"*.yaml"}) {}
};

TEST_F(FilteredEveryVersionTest, VersionsThatLeftTheViewAloneArePassedOver) {
  const ResumeToken token = Publish(1, B("1"));
  Publish(2, B("2"));
  Publish(3, A("3"));
  Publish(4, {{"a.yaml", "3"}});
  Publish(5, A("5"));
  Publish(6, {{"a.yaml", "5"}});
  driver_.Resume(token, EveryVersion());
  ExpectVersion(3, "3", false);
  ExpectVersion(5, "5", true);
  ExpectNothing();
}

TEST_F(FilteredEveryVersionTest, TokenAfterWhichTheViewDidNotChangeIsInSync) {
  const ResumeToken token = Publish(1, B("1"));
  Publish(2, B("2"));
  Publish(3, B("3"));
  driver_.Resume(token, EveryVersion());
  const v1::WatchResponse first = driver_.MustNext();
  EXPECT_TRUE(first.in_sync());
  EXPECT_EQ(first.header().version(), 3);
  ExpectNothing();
}

TEST_F(FilteredEveryVersionTest, SleepingStreamIsNotOvertakenByVersionsThatLeaveItsViewAlone) {
  // It is not woken for them, and so stands at version 1 while retention passes by.
  Publish(1, B("1"));
  driver_.Open(EveryVersion());
  driver_.Drain();
  for (int64_t version = 2; version <= 50; ++version) Publish(version, B(absl::StrCat(version)));
  driver_.history().DropUpTo(40);
  Publish(51, A("51"));
  driver_.history().DropUpTo(50);
  ExpectVersion(51, "51", true);
  ExpectNothing();
}

TEST_F(FilteredEveryVersionTest, SleepingStreamIsOvertakenIfTheFirstChangeOfItsViewIsDropped) {
  Publish(1, B("1"));
  driver_.Open(EveryVersion());
  driver_.Drain();
  Publish(2, B("2"));
  Publish(3, A("3"));
  Publish(4, A("4"));
  driver_.history().DropUpTo(3);
  ExpectEnd(absl::StatusCode::kResourceExhausted, "4");
}

TEST_F(FilteredEveryVersionTest, VersionsDroppedDuringASlowWriteAreNoLossIfTheyLeftTheViewAlone) {
  const ResumeToken token = Publish(1, B("1"));
  Publish(2, A(TwoFragments('2')));
  for (int64_t version = 3; version <= 8; ++version) {
    Publish(version, {{"a.yaml", TwoFragments('2')}, {"b", absl::StrCat(version)}});
  }
  Publish(9, A("9"));
  driver_.Resume(token, EveryVersion());
  EXPECT_TRUE(driver_.MustNext().more_fragments());
  driver_.history().DropUpTo(8);
  EXPECT_EQ(driver_.MustNext().header().version(), 2);
  ExpectVersion(9, "9", true);
  ExpectNothing();
}

}  // namespace
}  // namespace confstream
