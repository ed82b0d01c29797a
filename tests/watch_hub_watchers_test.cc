// Who watches, and what they report.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <set>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "server/base/error_reason.h"
#include "server/fanout/watch_hub.h"
#include "tests/fakes/fake_clock.h"
#include "tests/fakes/log_text.h"
#include "tests/fakes/recording_stream.h"
#include "tests/fakes/snapshots.h"

namespace confstream {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class WatchHubWatchersTest : public testing::Test {
 protected:
  WatchHubWatchersTest() {
    hub_.Update(WaitingState());
    hub_.Update(WaitingState("other"));
  }
  ~WatchHubWatchersTest() override {
    for (const auto& stream : streams_) stream->Close();
  }

  void Publish(int64_t version, const std::string& source = "app", bool sensitive = false) {
    auto state = ServingState(MakeSnapshot(version, {{"a", absl::StrCat(version)}}, source));
    state->sensitive = sensitive;
    hub_.Update(state);
  }

  std::shared_ptr<RecordingStream> Open(const std::string& source = "app") {
    WatchSpec spec;
    spec.source = source;
    spec.view = *View::Parse({});
    spec.client_id = "billing";
    auto stream = std::make_shared<RecordingStream>(&hub_, &clock_);
    EXPECT_TRUE(stream->Open(spec).ok());
    streams_.push_back(stream);
    return stream;
  }

  std::vector<v1::Watcher> List(const std::string& source = "", size_t max_count = 1000) {
    auto watchers = hub_.ListWatchers(source, {}, max_count);
    EXPECT_TRUE(watchers.ok()) << watchers.status();
    return *std::move(watchers);
  }
  // The id of the only stream.
  std::string OnlyId() { return List().at(0).watch_id(); }

  std::vector<std::string> LogLines() const {
    return absl::StrSplit(written_->str(), '\n', absl::SkipEmpty());
  }

  FakeClock clock_;
  const std::shared_ptr<LogText> written_ = std::make_shared<LogText>();
  Logger log_{LogFormat::kText, LogLevel::kInfo, written_};
  WatchHub hub_{&clock_, {1000, 1000, int64_t{16} << 20}, &log_};
  std::vector<std::shared_ptr<RecordingStream>> streams_;
};

TEST_F(WatchHubWatchersTest, OpenStreamsAreListedAndClosedOnesAreNot) {
  Publish(1);
  EXPECT_TRUE(List().empty());
  const auto stream = Open();
  ASSERT_EQ(List().size(), 1u);
  EXPECT_EQ(List()[0].watch_id(), stream->received().at(0).watch_id());
  EXPECT_EQ(List()[0].version(), 1);
  EXPECT_TRUE(List()[0].in_sync());
  EXPECT_EQ(absl::FromUnixSeconds(List()[0].open_time().seconds()), clock_.WallNow());
  stream->Close();
  EXPECT_TRUE(List().empty());
}

TEST_F(WatchHubWatchersTest, RefusedStreamIsNotListed) {
  WatchSpec spec;
  spec.source = "no-such";
  spec.view = *View::Parse({});
  EXPECT_FALSE(std::make_shared<RecordingStream>(&hub_, &clock_)->Open(spec).ok());
  EXPECT_TRUE(List().empty());
}

TEST_F(WatchHubWatchersTest, ListIsInOrderOfSourceAndWatchIdAndMayBeOfOneSource) {
  for (int i = 0; i < 10; ++i) Open(i % 2 == 0 ? "other" : "app");
  std::vector<std::pair<std::string, std::string>> places;
  for (const v1::Watcher& watcher : List()) {
    places.emplace_back(watcher.source(), watcher.watch_id());
  }
  EXPECT_EQ(places.size(), 10u);
  EXPECT_TRUE(std::is_sorted(places.begin(), places.end()));
  ASSERT_EQ(List("other").size(), 5u);
  for (const v1::Watcher& watcher : List("other")) EXPECT_EQ(watcher.source(), "other");
  EXPECT_EQ(List("app").size(), 5u);
}

TEST_F(WatchHubWatchersTest, ListGoesOnAfterAnyPlace) {
  for (int i = 0; i < 10; ++i) Open(i % 2 == 0 ? "other" : "app");
  for (const std::string source : {"", "app", "other"}) {
    std::pair<std::string, std::string> after;
    std::set<std::string> ids;
    for (int page = 0; page < 20; ++page) {
      const auto listed = hub_.ListWatchers(source, after, 3);
      ASSERT_TRUE(listed.ok());
      EXPECT_LE(listed->size(), 3u);
      if (listed->empty()) break;
      for (const v1::Watcher& watcher : *listed) {
        EXPECT_TRUE(ids.insert(watcher.watch_id()).second);
      }
      after = {listed->back().source(), listed->back().watch_id()};
    }
    EXPECT_EQ(ids.size(), source.empty() ? 10u : 5u);
  }
}

TEST_F(WatchHubWatchersTest, ListOfAnUnknownSourceIsNotFound) {
  const auto listed = hub_.ListWatchers("no-such", {}, 10);
  EXPECT_EQ(listed.status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(ReasonOf(listed.status()), kSourceNotFound);
}

TEST_F(WatchHubWatchersTest, StreamsComeAndGoWhileTheyAreListed) {
  Publish(1);
  std::atomic<bool> done{false};
  std::thread lister([&] {
    while (!done) {
      for (const v1::Watcher& watcher : List()) EXPECT_FALSE(watcher.watch_id().empty());
    }
  });
  for (int64_t round = 2; round < 200; ++round) {
    Open();
    Publish(round);
    streams_.back()->Close();
    streams_.pop_back();
  }
  done = true;
  lister.join();
  EXPECT_TRUE(List().empty());
}

// Reports.

TEST_F(WatchHubWatchersTest, RejectionIsShownAndLoggedOnce) {
  Publish(1);
  Open();
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(hub_.ReportOutcome(OnlyId(), 1, v1::OUTCOME_REJECTED, "port is\ntaken").ok());
  }
  EXPECT_EQ(List()[0].last_rejection().reason(), "port is\\ntaken");
  ASSERT_EQ(LogLines().size(), 1u);
  EXPECT_THAT(LogLines()[0], HasSubstr("warning"));
  EXPECT_THAT(LogLines()[0], HasSubstr("source=app version=1 client_id=billing"));
  EXPECT_THAT(LogLines()[0], HasSubstr(absl::StrCat("watch_id=", OnlyId())));
  EXPECT_THAT(LogLines()[0], HasSubstr("port is\\ntaken"));
}

TEST_F(WatchHubWatchersTest, ReasonThatASensitiveSourceWasRejectedForIsNotLogged) {
  Publish(1, "app", true);
  Open();
  EXPECT_TRUE(hub_.ReportOutcome(OnlyId(), 1, v1::OUTCOME_REJECTED, "hunter2 is short").ok());
  ASSERT_EQ(LogLines().size(), 1u);
  EXPECT_THAT(LogLines()[0], HasSubstr("version=1"));
  EXPECT_THAT(LogLines()[0], Not(HasSubstr("hunter2")));
}

TEST_F(WatchHubWatchersTest, SuccessIsShownAndNotLogged) {
  Publish(1);
  Open();
  EXPECT_TRUE(hub_.ReportOutcome(OnlyId(), 1, v1::OUTCOME_APPLIED, "").ok());
  EXPECT_EQ(List()[0].last_report().outcome(), v1::OUTCOME_APPLIED);
  EXPECT_TRUE(LogLines().empty());
}

TEST_F(WatchHubWatchersTest, ReportBelongsToItsStreamAndIsForgottenWithIt) {
  Publish(1);
  const auto stream = Open();
  const std::string id = OnlyId();
  EXPECT_TRUE(hub_.ReportOutcome(id, 1, v1::OUTCOME_REJECTED, "x").ok());
  stream->Close();
  const absl::Status late = hub_.ReportOutcome(id, 1, v1::OUTCOME_APPLIED, "");
  EXPECT_EQ(late.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(ReasonOf(late), kWatchNotFound);
  Open();
  EXPECT_FALSE(List()[0].has_last_report());
}

TEST_F(WatchHubWatchersTest, ReportForAStreamThatNeverWasIsNotFoundAndQuotedSafely) {
  const absl::Status status = hub_.ReportOutcome(absl::StrCat("\x1b[2J", std::string(5000, 'w')), 1,
                                                 v1::OUTCOME_APPLIED, "");
  EXPECT_EQ(ReasonOf(status), kWatchNotFound);
  EXPECT_LT(status.message().size(), 400u);
  EXPECT_EQ(status.message().find('\x1b'), absl::string_view::npos);
}

TEST_F(WatchHubWatchersTest, ReportThatIsInvalidIsRefusedAndNotLogged) {
  Publish(1);
  Open();
  const absl::Status status = hub_.ReportOutcome(OnlyId(), 2, v1::OUTCOME_REJECTED, "x");
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ReasonOf(status), kInvalidRequest);
  EXPECT_TRUE(LogLines().empty());
}

TEST_F(WatchHubWatchersTest, HubWithoutALogTakesReportsToo) {
  WatchHub hub(&clock_, {10, 10, 1 << 20});
  hub.Update(WaitingState());
  hub.Update(ServingState(MakeSnapshot(1, {{"a", "1"}})));
  auto stream = std::make_shared<RecordingStream>(&hub, &clock_);
  WatchSpec spec;
  spec.source = "app";
  spec.view = *View::Parse({});
  ASSERT_TRUE(stream->Open(spec).ok());
  const std::string id = stream->received().at(0).watch_id();
  EXPECT_TRUE(hub.ReportOutcome(id, 1, v1::OUTCOME_REJECTED, "x").ok());
  stream->Close();
}

}  // namespace
}  // namespace confstream
