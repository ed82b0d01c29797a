// How far an open stream is, as operators see it.

#include "server/fanout/watcher.h"

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "server/base/error_reason.h"
#include "tests/fakes/session_driver.h"

namespace confstream {
namespace {

Files A(const std::string& content) { return {{"a.yaml", content}, {"b", "b"}}; }

// Another file, which is not in the view `*.yaml`, says `content`.
Files B(const std::string& content) { return {{"a.yaml", "1"}, {"b", content}}; }

class WatcherTest : public testing::Test {
 protected:
  explicit WatcherTest(std::vector<std::string> globs = {}) : driver_(std::move(globs)) {
    driver_.Say(SourceCondition::kServing);
  }

  static WatchSpec Held() {  // a stream that lags: updates are held for an hour
    WatchSpec spec;
    spec.min_update_interval = absl::Hours(1);
    return spec;
  }

  void ExpectUpToDate(int64_t version) {
    const v1::Watcher watcher = driver_.watcher().Describe();
    EXPECT_EQ(watcher.version(), version);
    EXPECT_TRUE(watcher.in_sync());
    EXPECT_EQ(watcher.versions_behind(), 0);
    EXPECT_FALSE(watcher.has_behind_since());
  }
  // `first` is the first version that it was not sent.
  void ExpectBehind(int64_t version, int64_t behind, int64_t first) {
    const v1::Watcher watcher = driver_.watcher().Describe();
    EXPECT_EQ(watcher.version(), version);
    EXPECT_FALSE(watcher.in_sync());
    EXPECT_EQ(watcher.versions_behind(), behind);
    EXPECT_EQ(absl::FromUnixSeconds(watcher.behind_since().seconds()),
              MakeSnapshot(first, {})->publish_time);
  }

  SessionDriver driver_;
};

TEST_F(WatcherTest, TellsWhoWatchesWhatAndHow) {
  SessionDriver driver({"b", "*.yaml", "b"});
  WatchSpec spec;
  spec.client_id = "billing";
  spec.labels = {{"pod", "billing-7"}};
  spec.peer = "ipv4:10.0.0.7:4711";
  spec.deltas = true;
  spec.every_version = true;
  driver.Open(spec);
  const v1::Watcher watcher = driver.watcher().Describe();
  EXPECT_EQ(watcher.watch_id(), "the-watch-id");
  EXPECT_EQ(watcher.source(), "app");
  ASSERT_EQ(watcher.path_globs_size(), 2);
  EXPECT_EQ(watcher.path_globs(0), "*.yaml");
  EXPECT_EQ(watcher.path_globs(1), "b");
  EXPECT_EQ(watcher.client_id(), "billing");
  EXPECT_EQ(watcher.labels().at("pod"), "billing-7");
  EXPECT_EQ(watcher.peer(), "ipv4:10.0.0.7:4711");
  EXPECT_EQ(absl::FromUnixSeconds(watcher.open_time().seconds()), driver.clock().WallNow());
  EXPECT_EQ(watcher.mode(), v1::WATCH_MODE_DELTA);
  EXPECT_TRUE(watcher.every_version());
  EXPECT_FALSE(watcher.has_last_report());
  EXPECT_FALSE(watcher.has_last_rejection());
}

TEST_F(WatcherTest, ModeIsSnapshotUnlessDeltasAreAskedFor) {
  driver_.Open();
  EXPECT_EQ(driver_.watcher().Describe().mode(), v1::WATCH_MODE_SNAPSHOT);
  EXPECT_FALSE(driver_.watcher().Describe().every_version());
}

TEST_F(WatcherTest, StreamOfAWaitingSourceIsNeitherInSyncNorBehind) {
  driver_.Open();
  const v1::Watcher watcher = driver_.watcher().Describe();
  EXPECT_EQ(watcher.version(), 0);
  EXPECT_FALSE(watcher.in_sync());
  EXPECT_EQ(watcher.versions_behind(), 0);
  EXPECT_FALSE(watcher.has_behind_since());
}

TEST_F(WatcherTest, VersionCountsOnceItsLastFragmentIsSent) {
  driver_.Publish(1, A(TwoFragments('1')));
  driver_.Open();
  ExpectBehind(0, 1, 1);
  driver_.MustNext();
  ExpectBehind(0, 1, 1);
  driver_.MustNext();
  ExpectUpToDate(1);
}

TEST_F(WatcherTest, StreamThatIsSentNothingYetIsBehindSinceItWasOpenedAtMost) {
  driver_.Publish(1, A("1"));
  driver_.clock().Advance(absl::Hours(5));
  driver_.Open();
  const v1::Watcher watcher = driver_.watcher().Describe();
  EXPECT_EQ(watcher.behind_since().seconds(), watcher.open_time().seconds());
}

TEST_F(WatcherTest, StreamIsBehindByTheVersionsItWasNotSentSinceTheFirstOfThem) {
  driver_.Publish(1, A("1"));
  driver_.Open(Held());
  driver_.Drain();
  ExpectUpToDate(1);
  driver_.Publish(2, A("2"));
  driver_.Publish(3, A("3"));
  driver_.Publish(4, A("4"));
  driver_.Drain();
  ExpectBehind(1, 3, 2);
  driver_.clock().Advance(absl::Hours(1));
  driver_.Drain();
  ExpectUpToDate(4);
}

TEST_F(WatcherTest, ContentThatIsBackToWhatTheStreamHoldsIsUpToDate) {
  driver_.Publish(1, A("1"));
  driver_.Open(Held());
  driver_.Drain();
  driver_.Publish(2, A("2"));
  ExpectBehind(1, 1, 2);
  driver_.Publish(3, A("1"));
  EXPECT_TRUE(driver_.watcher().Describe().in_sync());
  driver_.Drain();
  ExpectUpToDate(3);
  driver_.Publish(4, A("4"));
  ExpectBehind(3, 1, 4);
}

TEST_F(WatcherTest, ResumedStreamIsUpToDateWithoutContent) {
  driver_.Publish(1, A("1"));
  driver_.Resume(driver_.token());
  driver_.Drain();
  ExpectUpToDate(1);
}

TEST_F(WatcherTest, StreamOfEveryVersionCountsTheRetainedVersionsBeforeIt) {
  WatchSpec spec = Held();
  spec.every_version = true;
  driver_.Publish(1, A("1"));
  const ResumeToken token = driver_.token();
  driver_.Publish(2, A("2"));
  driver_.Publish(3, A("1"));
  driver_.Publish(4, A("4"));
  driver_.Resume(token, spec);
  driver_.Drain();
  ExpectBehind(2, 2, 3);
  driver_.clock().Advance(absl::Hours(1));
  driver_.Drain();
  ExpectBehind(3, 1, 4);
  driver_.Publish(5, A("1"));
  ExpectBehind(3, 2, 4);
  driver_.clock().Advance(absl::Hours(2));
  driver_.Drain();
  driver_.clock().Advance(absl::Hours(1));
  driver_.Drain();
  ExpectUpToDate(5);
}

class FilteredWatcherTest : public WatcherTest {
 protected:
  FilteredWatcherTest() : WatcherTest({"*.yaml"}) {}
};

TEST_F(FilteredWatcherTest, VersionsThatLeaveTheViewAloneMoveTheStreamOnThoughItSleeps) {
  driver_.Publish(1, B("1"));
  driver_.Open(Held());
  driver_.Drain();
  driver_.Publish(2, B("2"));
  driver_.Publish(3, B("3"));
  ExpectUpToDate(3);
  driver_.Publish(4, A("4"));
  driver_.Publish(5, {{"a.yaml", "4"}});
  driver_.Publish(6, A("6"));
  ExpectBehind(3, 2, 4);
}

TEST_F(FilteredWatcherTest, StreamOfEveryVersionCountsThoseOfItsViewOnly) {
  WatchSpec spec = Held();
  spec.every_version = true;
  driver_.Publish(1, B("1"));
  const ResumeToken token = driver_.token();
  driver_.Publish(2, B("2"));
  driver_.Publish(3, A("3"));
  driver_.Publish(4, {{"a.yaml", "3"}});
  driver_.Publish(5, A("5"));
  driver_.Publish(6, {{"a.yaml", "5"}, {"b", "6"}});
  driver_.Publish(7, A("7"));
  driver_.Resume(token, spec);
  driver_.Drain();
  ExpectBehind(4, 2, 5);
}

// Reports.

class ReportTest : public WatcherTest {
 protected:
  ReportTest() {
    driver_.Publish(3, A("3"));
    driver_.Open(Held());
    driver_.Drain();
    driver_.Publish(4, A("4"));
  }

  absl::StatusOr<bool> Report(int64_t version, v1::Outcome outcome,
                              const std::string& reason = "") {
    return driver_.watcher().NoteOutcome(version, outcome, reason, driver_.clock().WallNow());
  }
  void ExpectRefused(const absl::StatusOr<bool>& report, const std::string& says) {
    EXPECT_EQ(report.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(ReasonOf(report.status()), kInvalidRequest);
    EXPECT_NE(report.status().message().find(says), absl::string_view::npos) << report.status();
    EXPECT_FALSE(driver_.watcher().Describe().has_last_report());
  }
};

TEST_F(ReportTest, LastReportAndLastRejectionAreKept) {
  EXPECT_TRUE(*Report(2, v1::OUTCOME_REJECTED, "port\nis taken"));
  driver_.clock().Advance(absl::Seconds(10));
  EXPECT_FALSE(*Report(3, v1::OUTCOME_APPLIED)) << "no rejection";
  const v1::Watcher watcher = driver_.watcher().Describe();
  EXPECT_EQ(watcher.last_report().version(), 3);
  EXPECT_EQ(watcher.last_report().outcome(), v1::OUTCOME_APPLIED);
  EXPECT_EQ(absl::FromUnixSeconds(watcher.last_report().report_time().seconds()),
            driver_.clock().WallNow());
  EXPECT_EQ(watcher.last_rejection().version(), 2);
  EXPECT_EQ(watcher.last_rejection().outcome(), v1::OUTCOME_REJECTED);
  EXPECT_EQ(watcher.last_rejection().reason(), "port\\nis taken");
}

TEST_F(ReportTest, RejectionIsNewsOnlyOnce) {
  EXPECT_TRUE(*Report(3, v1::OUTCOME_REJECTED, "x\n"));
  EXPECT_FALSE(*Report(3, v1::OUTCOME_REJECTED, "x\n"));
  EXPECT_TRUE(*Report(3, v1::OUTCOME_REJECTED, "y"));
  EXPECT_TRUE(*Report(2, v1::OUTCOME_REJECTED, "y"));
}

TEST_F(ReportTest, VersionThatTheStreamWasNotSentIsRefused) {
  ExpectRefused(Report(4, v1::OUTCOME_APPLIED), "at version 3");
  ExpectRefused(Report(0, v1::OUTCOME_APPLIED), "version 0");
  ExpectRefused(Report(INT64_MIN, v1::OUTCOME_APPLIED), "version -");
}

TEST_F(ReportTest, StreamThatWasSentNothingHasNothingToReport) {
  driver_.Open();
  ExpectRefused(Report(1, v1::OUTCOME_APPLIED), "nor was any other");
}

TEST_F(ReportTest, ReportWithoutOutcomeIsRefused) {
  ExpectRefused(Report(3, v1::OUTCOME_UNSPECIFIED), "outcome");
  ExpectRefused(Report(3, static_cast<v1::Outcome>(9)), "outcome");
}

TEST_F(ReportTest, ReasonMayHave1024BytesAndNoMore) {
  ExpectRefused(Report(3, v1::OUTCOME_REJECTED, std::string(1025, 'r')), "1024");
  EXPECT_TRUE(Report(3, v1::OUTCOME_REJECTED, std::string(1024, 'r')).ok());
}

}  // namespace
}  // namespace confstream
