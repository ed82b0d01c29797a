// Streams in mode DELTA: what comes as a delta, and against what.

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "server/fanout/watch_session.h"
#include "tests/fakes/client_copy.h"
#include "tests/fakes/session_driver.h"

namespace confstream {
namespace {

// Five files, of which one says `content`.
Files With(const std::string& content) {
  return {{"a", content}, {"b", "b"}, {"c", "c"}, {"d", "d"}, {"e", "e"}};
}

WatchSpec Deltas() {
  WatchSpec spec;
  spec.deltas = true;
  return spec;
}

class WatchDeltaTest : public testing::Test {
 protected:
  // A stream that is complete up to version 1, of a SERVING source.
  void OpenAtVersion1(const WatchSpec& spec = Deltas()) {
    driver_.Publish(1, With("1"));
    driver_.Say(SourceCondition::kServing);
    driver_.Open(spec);
    driver_.Drain();
  }

  // Expects one message: a delta against `base` in which file `a` says `content`.
  void ExpectDelta(int64_t base, const std::string& content) {
    const v1::WatchResponse update = driver_.MustNext();
    ASSERT_EQ(update.event_case(), v1::WatchResponse::kDelta);
    EXPECT_EQ(update.reason(), v1::WATCH_REASON_UPDATE);
    EXPECT_EQ(update.delta().base_version(), base);
    ASSERT_EQ(update.delta().changed_files_size(), 1);
    EXPECT_EQ(update.delta().changed_files(0).path(), "a");
    EXPECT_EQ(update.delta().changed_files(0).content(), content);
    EXPECT_EQ(update.delta().view_digest(), ViewDigestOf(With(content)));
    EXPECT_TRUE(update.in_sync());
    EXPECT_FALSE(driver_.Next().has_value());
  }
  void ExpectSnapshot(v1::WatchReason reason) {
    const v1::WatchResponse update = driver_.MustNext();
    EXPECT_EQ(update.event_case(), v1::WatchResponse::kSnapshot);
    EXPECT_EQ(update.reason(), reason);
    EXPECT_TRUE(update.in_sync());
  }

  SessionDriver driver_;
};

TEST_F(WatchDeltaTest, FirstContentIsASnapshotAndLaterVersionsAreDeltas) {
  driver_.Publish(1, With("1"));
  driver_.Say(SourceCondition::kServing);
  driver_.Open(Deltas());
  ExpectSnapshot(v1::WATCH_REASON_INITIAL);
  driver_.Publish(2, With("2"));
  ExpectDelta(1, "2");
  driver_.Publish(3, With("3"));
  ExpectDelta(2, "3");
}

TEST_F(WatchDeltaTest, SkippedVersionsAreLeftOutOfTheDeltaAndCounted) {
  OpenAtVersion1();
  driver_.Publish(2, With("2"));
  driver_.Publish(3, With("3"));
  driver_.Publish(4, With("4"));
  const v1::WatchResponse update = driver_.MustNext();
  EXPECT_EQ(update.skipped_versions(), 2);
  EXPECT_EQ(update.delta().base_version(), 1);
  EXPECT_EQ(update.header().version(), 4);
}

TEST_F(WatchDeltaTest, BaseIsTheVersionThatTheClientWasToldEvenIfOthersWithTheSameViewFollowed) {
  OpenAtVersion1();
  driver_.Publish(2, With("1"));
  EXPECT_FALSE(driver_.Next().has_value()) << "nothing changed: the client knows version 1 only";
  driver_.Publish(3, With("3"));
  ExpectDelta(1, "3");
}

TEST_F(WatchDeltaTest, HeartbeatMovesTheBaseOn) {
  WatchSpec spec = Deltas();
  spec.heartbeat_interval = absl::Seconds(10);
  OpenAtVersion1(spec);
  driver_.Publish(2, With("1"));
  driver_.clock().Advance(absl::Seconds(10));
  EXPECT_EQ(driver_.MustNext().header().version(), 2);
  driver_.Publish(3, With("3"));
  ExpectDelta(2, "3");
}

TEST_F(WatchDeltaTest, ChangeAndItsReversalAreNothingAndTheNextDeltaIsAgainstWhatTheClientHolds) {
  OpenAtVersion1();
  driver_.Publish(2, With("2"));
  driver_.Publish(3, With("1"));
  EXPECT_FALSE(driver_.Next().has_value());
  driver_.Publish(4, With("4"));
  ExpectDelta(1, "4");
}

TEST_F(WatchDeltaTest, DeltaThatIsNotSmallerComesAsASnapshot) {
  OpenAtVersion1();
  driver_.Publish(2, {{"x", "x"}});
  ExpectSnapshot(v1::WATCH_REASON_UPDATE);
  driver_.Publish(3, {{"x", "y"}});
  ExpectSnapshot(v1::WATCH_REASON_UPDATE);
}

TEST_F(WatchDeltaTest, BaseThatIsGoneFromTheHistoryIsRememberedByTheViewForAWhile) {
  OpenAtVersion1();
  driver_.Publish(2, With("2"));
  driver_.history().DropUpTo(1);
  ExpectDelta(1, "2");
}

TEST_F(WatchDeltaTest, BaseThatIsGoneMakesASnapshot) {
  OpenAtVersion1();
  for (int64_t version = 2; version <= 9; ++version) {
    driver_.Publish(version, With(absl::StrCat(version)));
  }
  driver_.history().DropUpTo(8);
  ExpectSnapshot(v1::WATCH_REASON_UPDATE);
  driver_.Publish(10, With("10"));
  ExpectDelta(9, "10");
}

TEST_F(WatchDeltaTest, BaseThatIsRetainedIsFoundHoweverFarBack) {
  OpenAtVersion1();
  for (int64_t version = 2; version <= 99; ++version) {
    driver_.Publish(version, With(absl::StrCat(version)));
  }
  ExpectDelta(1, "99");
}

TEST_F(WatchDeltaTest, VersionOfAnotherEpochComesAsASnapshotAndDeltasGoOnFromThere) {
  OpenAtVersion1();
  driver_.Publish(2, With("2"), kEpochB);
  ExpectSnapshot(v1::WATCH_REASON_UPDATE);
  driver_.Publish(3, With("3"), kEpochB);
  ExpectDelta(2, "3");
}

TEST_F(WatchDeltaTest, ModeSnapshotNeverGetsADelta) {
  OpenAtVersion1(WatchSpec());
  driver_.Publish(2, With("2"));
  ExpectSnapshot(v1::WATCH_REASON_UPDATE);
}

TEST_F(WatchDeltaTest, DeltaOnceStartedIsFinishedAndTheNextIsAgainstIt) {
  OpenAtVersion1();
  const std::string small = With("1").at("a");
  Files files = With(TwoFragments('2'));
  files.emplace("large", TwoFragments('l'));
  driver_.Publish(2, files);
  ClientCopy copy(1, With("1"));
  v1::WatchResponse fragment = driver_.MustNext();
  copy.Take(fragment);
  ASSERT_TRUE(fragment.more_fragments());
  files["a"] = "3";
  driver_.Publish(3, files);
  while (fragment.more_fragments()) {
    fragment = driver_.MustNext();
    copy.Take(fragment);
  }
  EXPECT_EQ(copy.version(), 2);
  EXPECT_FALSE(fragment.in_sync());
  fragment = driver_.MustNext();
  ASSERT_EQ(fragment.event_case(), v1::WatchResponse::kDelta);
  copy.Take(fragment);
  EXPECT_TRUE(copy.files() == files);
  EXPECT_TRUE(fragment.in_sync());
}

TEST_F(WatchDeltaTest, OneChangedFileAmongTenThousandCostsItsContentItsPathAnd512Bytes) {
  const std::string changed = "services/billing/region-17/limits.properties";
  Files files = {{changed, "old"}};
  for (int i = 0; i < 9999; ++i) {
    files.emplace(absl::StrCat("services/s", i, "/application.yaml"), absl::StrCat("n: ", i));
  }
  driver_.Publish(123'456'788, files);
  driver_.Say(SourceCondition::kServing);
  driver_.Open(Deltas());
  driver_.Drain();
  files[changed] = std::string(5000, 'n');
  driver_.Publish(123'456'789, files);
  const auto message = driver_.session().Next(driver_.clock().Now());
  ASSERT_TRUE(message.has_value());
  EXPECT_EQ(Receive(*message).delta().changed_files_size(), 1);
  size_t bytes = message->own.size();
  for (const auto& shared : message->shared) bytes += shared->size();
  EXPECT_LE(bytes, files[changed].size() + changed.size() + 512);
  EXPECT_FALSE(driver_.Next().has_value()) << "that was all";
}

// Resumed streams.

class ResumedDeltaTest : public WatchDeltaTest {
 protected:
  // Versions 1 to 5; returns the token of `version`.
  ResumeToken PublishFive(int64_t version) {
    ResumeToken token;
    for (int64_t v = 1; v <= 5; ++v) {
      driver_.Publish(v, With(absl::StrCat(v)));
      if (v == version) token = driver_.token();
    }
    driver_.Say(SourceCondition::kServing);
    return token;
  }
};

TEST_F(ResumedDeltaTest, TokenOfARetainedVersionIsAnsweredByADelta) {
  driver_.Resume(PublishFive(2), Deltas());
  ExpectDelta(2, "5");
}

TEST_F(ResumedDeltaTest, CurrentTokenIsInSyncAndIsTheBaseOfTheNextDelta) {
  driver_.Resume(PublishFive(5), Deltas());
  EXPECT_EQ(driver_.MustNext().event_case(), v1::WatchResponse::kHeartbeat);
  driver_.Publish(6, With("6"));
  ExpectDelta(5, "6");
}

TEST_F(ResumedDeltaTest, TokenOfAVersionThatWasDroppedIsAnsweredByASnapshot) {
  const ResumeToken token = PublishFive(2);
  driver_.history().DropUpTo(2);
  driver_.Resume(token, Deltas());
  ExpectSnapshot(v1::WATCH_REASON_UPDATE);
}

TEST_F(ResumedDeltaTest, TokenWhoseDigestIsNotThatOfItsVersionIsAnsweredByASnapshot) {
  ResumeToken token = PublishFive(2);
  token.view_digest = Sha256::Of("something else");
  driver_.Resume(token, Deltas());
  ExpectSnapshot(v1::WATCH_REASON_UPDATE);
}

TEST_F(ResumedDeltaTest, TokenOfAnotherEpochIsResyncedByASnapshot) {
  ResumeToken token = PublishFive(2);
  token.epoch = kEpochB;
  driver_.Resume(token, Deltas());
  ExpectSnapshot(v1::WATCH_REASON_RESYNC);
}

TEST_F(ResumedDeltaTest, TokenOfAnEpochThatThisProcessHasLeftIsResyncedByASnapshot) {
  const ResumeToken token = PublishFive(2);
  driver_.Publish(6, With("6"), kEpochB);
  driver_.Resume(token, Deltas());
  ExpectSnapshot(v1::WATCH_REASON_RESYNC);
}

TEST_F(ResumedDeltaTest, TokenOfAnotherViewIsResyncedByASnapshot) {
  ResumeToken token = PublishFive(2);
  token.view_hash = View::Parse({"a"})->HashFor("app");
  driver_.Resume(token, Deltas());
  ExpectSnapshot(v1::WATCH_REASON_RESYNC);
}

}  // namespace
}  // namespace confstream
