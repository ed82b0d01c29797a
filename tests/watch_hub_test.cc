#include "server/fanout/watch_hub.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "absl/strings/str_cat.h"
#include "server/base/error_reason.h"
#include "tests/fakes/blocking_subscriber.h"
#include "tests/fakes/client_copy.h"
#include "tests/fakes/counting_subscriber.h"
#include "tests/fakes/fake_clock.h"
#include "tests/fakes/fake_history.h"
#include "tests/fakes/recording_stream.h"
#include "tests/fakes/snapshots.h"

namespace confstream {
namespace {

constexpr FanoutLimits kLimits = {1000, 1000, int64_t{16} << 20};

WatchSpec Spec(std::vector<std::string> globs = {}, const std::string& source = "app") {
  WatchSpec spec;
  spec.source = source;
  spec.view = *View::Parse(std::move(globs));
  return spec;
}

class WatchHubTest : public testing::Test {
 protected:
  explicit WatchHubTest(const FanoutLimits& limits = kLimits) : hub_(&clock_, limits) {
    hub_.Update(WaitingState());
  }
  ~WatchHubTest() override {
    for (const auto& stream : streams_) stream->Close();
  }

  void Publish(int64_t version, const Files& files, const std::string& source = "app") {
    const auto snapshot = MakeSnapshot(version, files, source);
    if (source == "app") history_->Add(snapshot);
    hub_.Update(ServingState(snapshot, history_));
  }

  // A stream that is open; closed with the test.
  std::shared_ptr<RecordingStream> Open(const WatchSpec& spec) {
    auto stream = std::make_shared<RecordingStream>(&hub_, &clock_);
    EXPECT_TRUE(stream->Open(spec).ok());
    streams_.push_back(stream);
    return stream;
  }
  absl::Status Refused(const WatchSpec& spec) {
    return std::make_shared<RecordingStream>(&hub_, &clock_)->Open(spec);
  }

  // Waits until all that was to be delivered by now has been.
  void AwaitDelivery() {
    if (fence_ == nullptr) {
      hub_.Update(WaitingState("fence"));
      fence_ = Open(Spec({}, "fence"));
    }
    ++fence_version_;
    Publish(fence_version_, {{"n", absl::StrCat(fence_version_)}}, "fence");
    ASSERT_TRUE(fence_->AwaitVersion(fence_version_));
  }

  FakeClock clock_;
  WatchHub hub_;
  const std::shared_ptr<FakeHistory> history_ = std::make_shared<FakeHistory>();  // of `app`
  std::vector<std::shared_ptr<RecordingStream>> streams_;
  std::shared_ptr<RecordingStream> fence_;
  int64_t fence_version_ = 0;
};

TEST_F(WatchHubTest, StreamGetsTheCurrentVersionAtOnceAndEveryLaterOneOnTheWay) {
  Publish(1, {{"a", "1"}});
  const auto stream = Open(Spec());
  ASSERT_EQ(stream->received().size(), 1u) << "without any wake-up";
  EXPECT_EQ(stream->received()[0].header().version(), 1);
  Publish(2, {{"a", "2"}});
  EXPECT_TRUE(stream->AwaitVersion(2));
}

TEST_F(WatchHubTest, StreamOfAWaitingSourceIsToldSoAndGetsItsFirstVersion) {
  const auto stream = Open(Spec());
  EXPECT_EQ(stream->received().at(0).source_status().state(), v1::SOURCE_STATE_WAITING);
  Publish(1, {{"a", "1"}});
  EXPECT_TRUE(stream->AwaitVersion(1));
  EXPECT_EQ(stream->received().at(1).reason(), v1::WATCH_REASON_INITIAL);
}

TEST_F(WatchHubTest, UnknownSourceIsNotFoundAndTheErrorNamesThoseThereAre) {
  hub_.Update(WaitingState("other"));
  const absl::Status status = Refused(Spec({}, "no\nsuch"));
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(ReasonOf(status), kSourceNotFound);
  EXPECT_NE(status.message().find("no\\nsuch"), absl::string_view::npos) << status;
  EXPECT_NE(status.message().find("app, other"), absl::string_view::npos) << status;
  EXPECT_EQ(hub_.Find("nope").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(hub_.streams(), 0);
}

TEST_F(WatchHubTest, SourcesAreListedInByteOrder) {
  hub_.Update(WaitingState("b"));
  hub_.Update(WaitingState("a"));
  EXPECT_EQ(hub_.SourceNames(), (std::vector<std::string>{"a", "app", "b"}));
}

TEST_F(WatchHubTest, SourceIsKnownFromItsFirstStateOn) {
  EXPECT_FALSE(hub_.Find("late").ok());
  Publish(3, {{"a", "1"}}, "late");
  const auto stream = Open(Spec({}, "late"));
  ASSERT_EQ(stream->received().size(), 1u) << "not said to be waiting first";
  EXPECT_EQ(stream->received()[0].header().version(), 3);
  EXPECT_EQ(stream->received()[0].header().epoch(), kEpochA);
}

// Views.

TEST_F(WatchHubTest, StreamIsWokenForItsViewOnly) {
  Publish(1, {{"a.yaml", "1"}, {"b", "1"}});
  const auto filtered = Open(Spec({"*.yaml"}));
  const auto all = Open(Spec());
  Publish(2, {{"a.yaml", "1"}, {"b", "2"}});
  AwaitDelivery();
  EXPECT_EQ(filtered->wakes(), 0);
  EXPECT_EQ(all->wakes(), 1);
  Publish(3, {{"a.yaml", "3"}, {"b", "2"}});
  AwaitDelivery();
  EXPECT_EQ(filtered->wakes(), 1);
  EXPECT_TRUE(filtered->AwaitVersion(3));
  EXPECT_EQ(filtered->received().back().skipped_versions(), 0);
}

TEST_F(WatchHubTest, NoStreamOfAnyModeIsWokenForOtherFilesThanItsOwn) {
  Publish(1, {{"a.yaml", "1"}, {"b.json", "1"}});
  std::vector<std::shared_ptr<RecordingStream>> yaml;
  std::vector<std::shared_ptr<RecordingStream>> json;
  for (const bool deltas : {false, true}) {
    for (const bool every_version : {false, true}) {
      for (auto* streams : {&yaml, &json}) {
        WatchSpec spec = Spec({streams == &yaml ? "*.yaml" : "*.json"});
        spec.deltas = deltas;
        spec.every_version = every_version;
        streams->push_back(Open(spec));
      }
    }
  }
  Publish(2, {{"a.yaml", "2"}, {"b.json", "1"}, {"c", "2"}});
  Publish(3, {{"a.yaml", "3"}, {"b.json", "1"}});
  AwaitDelivery();
  for (const auto& stream : yaml) {
    EXPECT_TRUE(stream->AwaitVersion(3));
    EXPECT_GT(stream->wakes(), 0);
  }
  for (const auto& stream : json) {
    EXPECT_EQ(stream->wakes(), 0);
    EXPECT_EQ(stream->received().size(), 1u);
  }
  // Back and forth, for the others.
  Publish(4, {{"a.yaml", "2"}, {"b.json", "1"}});
  Publish(5, {{"a.yaml", "3"}, {"b.json", "1"}});
  AwaitDelivery();
  for (const auto& stream : json) EXPECT_EQ(stream->wakes(), 0);
  Publish(6, {{"a.yaml", "3"}, {"b.json", "6"}});
  for (const auto& stream : json) {
    ASSERT_TRUE(stream->AwaitVersion(6));
    EXPECT_EQ(stream->received().size(), 2u);
    EXPECT_EQ(stream->received()[1].skipped_versions(), 0);
  }
}

TEST_F(WatchHubTest, StreamsOfEveryVersionSeeEachOfThemUnderLoadHoweverTheyAreWoken) {
  constexpr int64_t kVersions = 500;
  Publish(1, {{"a", "1"}, {"b", "1"}});
  std::vector<std::shared_ptr<RecordingStream>> streams;
  for (int i = 0; i < 12; ++i) {
    WatchSpec spec = Spec(i % 3 == 0 ? std::vector<std::string>{} : std::vector<std::string>{"a"});
    spec.every_version = true;
    spec.deltas = i % 2 == 0;
    streams.push_back(Open(spec));
  }
  for (int64_t version = 2; version <= kVersions; ++version) {
    // There and back again, and in every fifth version nothing that the view `a` has.
    Publish(version, {{"a", absl::StrCat(version / 5 % 2)}, {"b", absl::StrCat(version)}});
  }
  for (size_t i = 0; i < streams.size(); ++i) {
    ASSERT_TRUE(streams[i]->AwaitVersion(i % 3 == 0 ? kVersions : kVersions / 5 * 5));
    std::vector<int64_t> seen;
    ClientCopy copy;
    for (const v1::WatchResponse& response : streams[i]->received()) {
      seen.push_back(response.header().version());
      EXPECT_EQ(response.skipped_versions(), 0);
      copy.Take(response);
    }
    std::vector<int64_t> expected = {1};
    for (int64_t version = 2; version <= kVersions; ++version) {
      if (i % 3 == 0 || version == 2 || version % 5 == 0) expected.push_back(version);
    }
    EXPECT_EQ(seen, expected);
    EXPECT_TRUE(streams[i]->received().back().in_sync());
  }
}

TEST_F(WatchHubTest, StreamOfEveryVersionMissesNothingSilentlyHoweverHistoryIsDropped) {
  constexpr int64_t kVersions = 300;
  int complete = 0;
  for (int64_t kept = 1; kept <= 1024; kept *= 4) {
    WatchHub hub(&clock_, kLimits);
    hub.Update(WaitingState());
    const auto history = std::make_shared<FakeHistory>();
    const auto publish = [&](int64_t version) {
      const auto snapshot = MakeSnapshot(version, {{"a", absl::StrCat(version)}});
      history->Add(snapshot);
      history->DropUpTo(version - kept);
      hub.Update(ServingState(snapshot, history));
    };
    publish(1);
    std::vector<std::shared_ptr<RecordingStream>> streams;
    for (int i = 0; i < 4; ++i) {
      WatchSpec spec = Spec();
      spec.every_version = true;
      spec.deltas = i % 2 == 0;
      streams.push_back(std::make_shared<RecordingStream>(&hub, &clock_));
      ASSERT_TRUE(streams.back()->Open(spec).ok());
    }
    for (int64_t version = 2; version <= kVersions; ++version) publish(version);
    for (const auto& stream : streams) {
      ASSERT_TRUE(stream->AwaitVersionOrEnd(kVersions));
      int64_t last = 0;
      for (const v1::WatchResponse& response : stream->received()) {
        EXPECT_EQ(response.header().version(), ++last) << "one after the other, up to the end";
      }
      if (last == kVersions) {
        ++complete;
      } else {
        EXPECT_EQ(ReasonOf(*stream->AwaitEnd()), kVersionCompacted);
      }
      stream->Close();
    }
  }
  EXPECT_GE(complete, 4) << "those of the history that keeps all";
}

TEST_F(WatchHubTest, StreamsOfOneViewShareTheBytesOfADelta) {
  Files files = {{"a", "1"}};
  for (int i = 0; i < 10; ++i) files.emplace(absl::StrCat("file", i), "x");
  Publish(1, files);
  auto one = std::make_shared<CountingSubscriber>();
  auto two = std::make_shared<CountingSubscriber>();
  WatchSpec spec = Spec();
  spec.deltas = true;
  auto first = hub_.Open(spec, one);
  auto second = hub_.Open(spec, two);
  ASSERT_TRUE(first.ok() && second.ok());
  ASSERT_TRUE((*first)->Next(clock_.Now()).has_value());
  ASSERT_TRUE((*second)->Next(clock_.Now()).has_value());
  files["a"] = "2";
  Publish(2, files);
  const auto message = (*first)->Next(clock_.Now());
  ASSERT_TRUE(message.has_value());
  EXPECT_TRUE(Receive(*message).has_delta());
  const auto other = (*second)->Next(clock_.Now());
  ASSERT_TRUE(other.has_value());
  EXPECT_EQ(message->shared[0].get(), other->shared[0].get());
  hub_.Close(**first, one.get());
  hub_.Close(**second, two.get());
}

TEST_F(WatchHubTest, PinnedSourceAndOneWhoseHistoryFailsAreNotOrdinary) {
  Publish(1, {{"a", "1"}});
  auto pinned = ServingState((*hub_.Find("app"))->snapshot, history_);
  pinned->status.pin.emplace();
  pinned->status.pin->version = 1;
  auto failing = ServingState(pinned->snapshot, history_);
  failing->status.history.state = HistoryStatus::kFailing;
  failing->status.history.problem = "the disk is full";
  auto recorded = ServingState(pinned->snapshot, history_);
  recorded->status.history.state = HistoryStatus::kRecorded;
  hub_.Update(pinned);
  EXPECT_EQ(Open(Spec())->received().at(1).source_status().pin().version(), 1);
  hub_.Update(failing);
  EXPECT_EQ(Open(Spec())->received().at(1).source_status().history().problem(), "the disk is full");
  hub_.Update(recorded);
  EXPECT_EQ(Open(Spec())->received().size(), 1u) << "as it should be: nothing to tell";
}

TEST_F(WatchHubTest, FilteredStreamIsWokenWhenItsLastFileIsDeleted) {
  Publish(1, {{"a.yaml", "1"}, {"b", "1"}});
  const auto filtered = Open(Spec({"*.yaml"}));
  Publish(2, {{"b", "1"}});
  ASSERT_TRUE(filtered->AwaitVersion(2));
  const v1::WatchResponse update = filtered->received().back();
  EXPECT_EQ(update.snapshot().files_size(), 0);
  EXPECT_EQ(update.snapshot().missing_globs(0), "*.yaml");
}

TEST_F(WatchHubTest, FirstContentWakesEvenIfTheViewIsEmpty) {
  const auto filtered = Open(Spec({"*.yaml"}));
  hub_.Update(RefusedState(nullptr, "x"));
  AwaitDelivery();
  Publish(1, {{"b", "1"}});
  EXPECT_TRUE(filtered->AwaitVersion(1));
}

TEST_F(WatchHubTest, FilteredStreamIsWokenForStatus) {
  Publish(1, {{"a.yaml", "1"}, {"b", "1"}});
  const auto filtered = Open(Spec({"*.yaml"}));
  hub_.Update(RefusedState((*hub_.Find("app"))->snapshot, "line is wrong"));
  AwaitDelivery();
  const v1::WatchResponse status = filtered->received().back();
  EXPECT_EQ(status.source_status().state(), v1::SOURCE_STATE_DEGRADED);
  EXPECT_EQ(status.source_status().violations(0).message(), "line is wrong");
}

TEST_F(WatchHubTest, StateThatSaysTheSameWakesNobodyAndIsShownToWhoeverAsks) {
  Publish(1, {{"a", "1"}});
  const auto stream = Open(Spec());
  auto again = ServingState((*hub_.Find("app"))->snapshot);
  again->status.verified_time = absl::FromUnixSeconds(1);
  hub_.Update(again);
  AwaitDelivery();
  EXPECT_EQ(stream->wakes(), 0);
  EXPECT_EQ((*hub_.Find("app"))->status.verified_time, absl::FromUnixSeconds(1));
}

TEST_F(WatchHubTest, SchemasThatCannotBeUsedAreToldToWhoWatchesAndToWhoComes) {
  Publish(1, {{"a", "1"}});
  const auto early = Open(Spec());
  ASSERT_EQ(early->received().size(), 1u);
  auto state = ServingState((*hub_.Find("app"))->snapshot);
  state->status.schema_problem = "app.schema.json:1: is cut short";
  hub_.Update(state);
  AwaitDelivery();
  ASSERT_EQ(early->received().size(), 2u);
  EXPECT_EQ(early->received()[1].source_status().schema_problem(), state->status.schema_problem);
  const auto late = Open(Spec());
  ASSERT_EQ(late->received().size(), 2u);
  EXPECT_EQ(late->received()[1].source_status().schema_problem(), state->status.schema_problem);
}

TEST_F(WatchHubTest, StatusThatALaterStreamIsToldNamesTheVersionServedThen) {
  auto polled = [this](int64_t version, const std::string& content) {
    auto state = ServingState(MakeSnapshot(version, {{"a", content}}));
    state->status.polling_reason = "the limit is reached";
    hub_.Update(state);
  };
  polled(1, "1");
  const auto early = Open(Spec());
  ASSERT_EQ(early->received().size(), 2u);
  EXPECT_EQ(early->received()[1].source_status().served_version(), 1);
  polled(2, "2");
  const auto late = Open(Spec());
  ASSERT_EQ(late->received().size(), 2u);
  EXPECT_EQ(late->received()[1].source_status().served_version(), 2);
  // Who was told before is not told again, since nothing changed but the version.
  ASSERT_TRUE(early->AwaitVersion(2));
  AwaitDelivery();
  EXPECT_EQ(early->received().size(), 3u);
}

TEST_F(WatchHubTest, StreamsOfOneViewShareTheirBytesHoweverTheirGlobsAreWritten) {
  Publish(1, {{"a", "1"}, {"b", "1"}});
  auto one = std::make_shared<CountingSubscriber>();
  auto two = std::make_shared<CountingSubscriber>();
  auto first = hub_.Open(Spec({"a", "b"}), one);
  auto second = hub_.Open(Spec({"b", "a", "b"}), two);
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_NE((*first)->watch_id(), (*second)->watch_id());
  const auto message = (*first)->Next(clock_.Now());
  const auto other = (*second)->Next(clock_.Now());
  ASSERT_TRUE(message.has_value() && other.has_value());
  ASSERT_EQ(message->shared.size(), 1u);
  EXPECT_EQ(message->shared[0].get(), other->shared[0].get());
  hub_.Close(**first, one.get());
  hub_.Close(**second, two.get());
}

// Ends.

TEST_F(WatchHubTest, RemovedSourceEndsItsStreamsAndNoOthers) {
  hub_.Update(WaitingState("other"));
  Publish(1, {{"a", "1"}});
  Publish(1, {{"a", "1"}}, "other");
  const auto stream = Open(Spec());
  const auto filtered = Open(Spec({"a"}));
  const auto other = Open(Spec({}, "other"));
  hub_.RemoveSource("app");
  for (const auto& ended : {stream, filtered}) {
    const auto end = ended->AwaitEnd();
    ASSERT_TRUE(end.has_value());
    EXPECT_EQ(end->code(), absl::StatusCode::kNotFound);
    EXPECT_EQ(ReasonOf(*end), kSourceRemoved);
  }
  EXPECT_FALSE(hub_.Find("app").ok());
  EXPECT_EQ(ReasonOf(Refused(Spec())), kSourceNotFound);
  Publish(2, {{"a", "2"}}, "other");
  EXPECT_TRUE(other->AwaitVersion(2));
}

TEST_F(WatchHubTest, SourceThatWasRemovedAndAddedAgainStartsAnew) {
  Publish(1, {{"a", "1"}});
  const auto before = Open(Spec());
  hub_.RemoveSource("app");
  hub_.Update(WaitingState());
  const auto after = Open(Spec());
  EXPECT_EQ(after->received().at(0).source_status().state(), v1::SOURCE_STATE_WAITING);
  ASSERT_TRUE(before->AwaitEnd().has_value());
  before->Close();
  hub_.Update(ServingState(MakeSnapshot(1, {{"a", "new"}}, "app", kEpochB)));
  EXPECT_TRUE(after->AwaitVersion(1)) << "closing the old stream left the new view alone";
}

TEST_F(WatchHubTest, EndAllEndsEveryStreamAndRefusesNewOnes) {
  hub_.Update(WaitingState("other"));
  const auto stream = Open(Spec());
  const auto other = Open(Spec({"x"}, "other"));
  const absl::Status draining =
      ErrorWithReason(absl::StatusCode::kUnavailable, kDraining, "bye", absl::Seconds(1));
  hub_.EndAll(draining);
  EXPECT_EQ(stream->AwaitEnd(), draining);
  EXPECT_EQ(other->AwaitEnd(), draining);
  EXPECT_EQ(Refused(Spec()), draining);
  Publish(1, {{"a", "1"}});
  TestLane().Settle();
  EXPECT_EQ(stream->received().size(), 1u) << "the WAITING status and nothing after the end";
}

TEST_F(WatchHubTest, AllClosedIsAwaitedNoLongerThanToTheLast) {
  const SystemClock clock;
  WatchHub hub(&clock, kLimits);
  hub.Update(WaitingState());
  hub.AwaitAllClosed(absl::InfiniteDuration());
  const auto first = std::make_shared<RecordingStream>(&hub, &clock);
  const auto last = std::make_shared<RecordingStream>(&hub, &clock);
  ASSERT_TRUE(first->Open(Spec()).ok());
  ASSERT_TRUE(last->Open(Spec()).ok());
  first->Close();
  hub.AwaitAllClosed(absl::Milliseconds(1));
  EXPECT_EQ(hub.streams(), 1) << "the wait has an end";
  std::thread closer([&] { last->Close(); });
  hub.AwaitAllClosed(absl::InfiniteDuration());
  EXPECT_EQ(hub.streams(), 0);
  closer.join();
}

TEST_F(WatchHubTest, StreamOpenedWhileAllAreEndedIsRefusedOrEnds) {
  // So many files that a new view takes a while: then streams wait for each other to register, and
  // the end of all comes between, after some were let in and before they are registered.
  constexpr int kOpeners = 6;
  Files files;
  for (int i = 0; i < 500; ++i) files.emplace(absl::StrCat("file", i), "x");
  const auto serving = ServingState(MakeSnapshot(1, files));
  const absl::Status draining = absl::UnavailableError("bye");
  for (int round = 0; round < 60; ++round) {
    WatchHub hub(&clock_, kLimits);
    hub.Update(WaitingState());
    hub.Update(serving);
    std::atomic<int> ready{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < kOpeners; ++i) {
      threads.emplace_back([&, i] {
        auto stream = std::make_shared<RecordingStream>(&hub, &clock_);
        const WatchSpec spec = Spec({"**", absl::StrCat("of opener ", i)});
        ++ready;
        while (ready <= kOpeners) std::this_thread::yield();
        const absl::Status opened = stream->Open(spec);
        if (opened.ok()) {
          EXPECT_EQ(stream->AwaitEnd(), draining);
          stream->Close();
        } else {
          EXPECT_EQ(opened, draining);
        }
      });
    }
    ++ready;
    while (ready <= kOpeners) std::this_thread::yield();
    // Once the first is let in.
    while (hub.streams() == 0 && round % 2 == 0) std::this_thread::yield();
    hub.EndAll(draining);
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(hub.streams(), 0);
  }
}

TEST_F(WatchHubTest, StreamOpenedWhileItsSourceIsRemovedIsRefusedOrEnds) {
  for (int round = 0; round < 200; ++round) {
    hub_.Update(WaitingState("passing"));
    std::atomic<int> ready{0};
    std::thread opener([&] {
      auto stream = std::make_shared<RecordingStream>(&hub_, &clock_);
      ++ready;
      while (ready < 2) std::this_thread::yield();
      const absl::Status opened = stream->Open(Spec({}, "passing"));
      const auto end = opened.ok() ? stream->AwaitEnd() : opened;
      EXPECT_TRUE(end.has_value());
      EXPECT_EQ(end.value_or(absl::OkStatus()).code(), absl::StatusCode::kNotFound);
      stream->Close();
    });
    ++ready;
    while (ready < 2) std::this_thread::yield();
    hub_.RemoveSource("passing");
    opener.join();
  }
}

// Concurrency.

TEST_F(WatchHubTest, NobodyWhoOpensDuringAPublicationMissesIt) {
  // In every round one version is published while streams open: some in views that did not exist,
  // some in one that did. Nothing is published after it, so a version that fell between
  // registration and current state would be missed for good.
  constexpr int kRounds = 300;
  constexpr int kOpeners = 3;
  Publish(1, {{"a", "1"}});
  const auto veteran = Open(Spec());
  for (int round = 2; round < kRounds; ++round) {
    std::atomic<int> ready{0};
    std::vector<std::shared_ptr<RecordingStream>> streams;
    for (int i = 0; i < kOpeners; ++i) {
      streams.push_back(std::make_shared<RecordingStream>(&hub_, &clock_));
    }
    std::vector<std::thread> threads;
    for (int i = 0; i < kOpeners; ++i) {
      threads.emplace_back([&, i] {
        const WatchSpec spec = i == 0 ? Spec() : Spec({"a", absl::StrCat("of opener ", i)});
        ++ready;
        while (ready <= kOpeners) std::this_thread::yield();
        EXPECT_TRUE(streams[static_cast<size_t>(i)]->Open(spec).ok());
      });
    }
    ++ready;
    while (ready <= kOpeners) std::this_thread::yield();
    Publish(round, {{"a", absl::StrCat(round)}});
    for (std::thread& thread : threads) thread.join();
    for (const auto& stream : streams) {
      ASSERT_TRUE(stream->AwaitVersion(round)) << "missed in round " << round;
      stream->Close();
    }
  }
  ASSERT_TRUE(veteran->AwaitVersion(kRounds - 1));
}

TEST_F(WatchHubTest, VersionsOnEveryStreamIncreaseAndSkippedOnesAddUpUnderLoad) {
  constexpr int64_t kVersions = 500;
  Publish(1, {{"a", "1"}, {"b.yaml", "1"}});
  std::vector<std::shared_ptr<RecordingStream>> streams;
  for (int i = 0; i < 20; ++i) {
    streams.push_back(Open(i % 2 == 0 ? Spec() : Spec({"a", absl::StrCat(i % 6)})));
  }
  std::thread publisher([this] {
    for (int64_t version = 2; version <= kVersions; ++version) {
      Publish(version, {{"a", absl::StrCat(version)}, {"b.yaml", "1"}});
    }
  });
  publisher.join();
  for (const auto& stream : streams) {
    ASSERT_TRUE(stream->AwaitVersion(kVersions));
    int64_t last = 0;
    int64_t accounted = 0;
    for (const v1::WatchResponse& response : stream->received()) {
      EXPECT_GT(response.header().version(), last);
      last = response.header().version();
      EXPECT_EQ(response.snapshot().files(0).content(), absl::StrCat(last));
      accounted += 1 + response.skipped_versions();
    }
    EXPECT_EQ(accounted, kVersions);
    EXPECT_TRUE(stream->received().back().in_sync());
  }
}

TEST_F(WatchHubTest, SubscriberThatBlocksDelaysNoPublication) {
  hub_.Update(WaitingState("other"));
  Publish(1, {{"a", "1"}});
  const auto blocking = std::make_shared<BlockingSubscriber>();
  auto session = hub_.Open(Spec(), blocking);
  ASSERT_TRUE(session.ok());
  Publish(2, {{"a", "2"}});
  ASSERT_TRUE(blocking->AwaitBlocking());
  // Publications return, of this source and of others, and whoever asks sees them.
  for (int64_t version = 3; version <= 50; ++version) {
    Publish(version, {{"a", absl::StrCat(version)}});
    Publish(version, {{"a", absl::StrCat(version)}}, "other");
  }
  EXPECT_EQ((*hub_.Find("app"))->snapshot->version, 50);
  const auto stream = Open(Spec({}, "other"));
  EXPECT_EQ(stream->received().at(0).header().version(), 50);
  blocking->Release();
  hub_.Close(**session, blocking.get());
}

// Limits.

class SmallWatchHubTest : public WatchHubTest {
 protected:
  SmallWatchHubTest() : WatchHubTest({3, 1, 1 << 20}) {}
};

TEST_F(SmallWatchHubTest, NoMoreStreamsThanAllowedAndAClosedOneMakesRoom) {
  for (int i = 0; i < 3; ++i) Open(Spec());
  EXPECT_EQ(hub_.streams(), 3);
  const absl::Status refused = Refused(Spec());
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(ReasonOf(refused), kTooManyStreams);
  EXPECT_TRUE(RetryAfterOf(refused).has_value());
  streams_[0]->Close();
  EXPECT_EQ(hub_.streams(), 2);
  Open(Spec());
}

TEST_F(SmallWatchHubTest, NoMoreViewsThanAllowedAndTheLastStreamOfAViewTakesItWithIt) {
  Open(Spec({"a"}));
  Open(Spec({"a"}));
  const absl::Status refused = Refused(Spec({"b"}));
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(ReasonOf(refused), kTooManyViews);
  streams_[0]->Close();
  EXPECT_EQ(ReasonOf(Refused(Spec({"b"}))), kTooManyViews) << "one stream has the view still";
  streams_[1]->Close();
  Open(Spec({"b"}));
}

TEST_F(SmallWatchHubTest, ViewsAreCountedForEverySourceAlone) {
  hub_.Update(WaitingState("other"));
  Open(Spec({"a"}));
  Open(Spec({"b"}, "other"));
}

TEST_F(SmallWatchHubTest, RefusedStreamsDoNotCount) {
  Open(Spec({"a"}));
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(ReasonOf(Refused(Spec({"b"}))), kTooManyViews);
    EXPECT_EQ(ReasonOf(Refused(Spec({}, "no-such"))), kSourceNotFound);
  }
  EXPECT_EQ(hub_.streams(), 1);
}

TEST_F(WatchHubTest, OlderVersionOfASensitiveSourceIsGivenToNobodyAndTheRemedyWorks) {
  const auto publish = [this](int64_t version) {
    const auto snapshot = MakeSnapshot(version, {{"a", absl::StrCat("secret ", version)}});
    history_->Add(snapshot);
    const auto state = ServingState(snapshot, history_);
    state->sensitive = true;
    hub_.Update(state);
  };
  publish(1);
  const std::string held = Open(Spec())->received()[0].header().resume_token();
  publish(2);
  publish(3);
  WatchSpec every = Spec();
  every.every_version = true;
  every.resumes = true;
  every.token = ResumeToken::Decode(held);
  ASSERT_TRUE(every.token.has_value());
  const auto refused = Open(every);
  EXPECT_TRUE(refused->received().empty());
  ASSERT_TRUE(refused->AwaitEnd().has_value());
  EXPECT_EQ(refused->AwaitEnd()->code(), absl::StatusCode::kOutOfRange);
  EXPECT_NE(refused->AwaitEnd()->message().find("the oldest retained version is 3: begin without"),
            absl::string_view::npos)
      << *refused->AwaitEnd();
  every.resumes = false;
  every.token.reset();
  const auto accepted = Open(every);
  ASSERT_EQ(accepted->received().size(), 1u);
  EXPECT_EQ(accepted->received()[0].snapshot().files(0).content(), "secret 3");
}

}  // namespace
}  // namespace confstream
