#include "server/watch/source_watcher.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "tests/fakes/files.h"
#include "tests/fakes/hooked_event_source.h"
#include "tests/fakes/hooked_file_system.h"
#include "tests/fakes/kubelet_volume.h"
#include "tests/fakes/temporary_directory.h"

namespace confstream {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// Keeps the requests for the test to answer.
class RecordingLane final : public ReadLane {
 public:
  void Submit(ReadRequest request) override { requests.push_back(std::move(request)); }
  std::vector<ReadRequest> requests;
};

class SourceWatcherTest : public testing::Test {
 protected:
  SourceWatcherTest()
      : watcher_(std::make_unique<SourceWatcher>(&slow_clock_, &file_system_, &events_, &lane_,
                                                 &journals_, &log_)) {}

  std::string Path(const std::string& relative) { return directory_.Path(relative); }

  void Add(const std::string& name, const std::string& relative) {
    SourceConfig config;
    config.name = name;
    config.path = Path(relative);
    watcher_->AddSource(config, 1);
  }

  // Lets `ms` pass and takes a turn.
  void Step(int ms = 0) {
    now_ = now_ + absl::Milliseconds(ms);
    next_ = watcher_->Step(now_);
  }

  // The one request made since the last call. Fails the test if there is not just one.
  ReadRequest TakeRequest() {
    EXPECT_EQ(lane_.requests.size(), 1u);
    if (lane_.requests.size() != 1) return {};
    ReadRequest request = std::move(lane_.requests[0]);
    lane_.requests.clear();
    return request;
  }

  void Answer(const ReadRequest& request, ReadOutcome outcome) {
    watcher_->Answer({request.source, request.incarnation, outcome});
    Step();
  }

  // Adds a source and answers its first reading.
  void Start(const std::string& name, const std::string& relative) {
    Add(name, relative);
    Step();
    Answer(TakeRequest(), ReadOutcome::kDone);
    EXPECT_TRUE(lane_.requests.empty());
  }

  void LoseEvents() {
    events_.Drain();
    events_.extra_events.push_back({-1, WatchEvent::kEventsLost, "", false});
  }

  // Real time, and what a test says that something took.
  struct SlowClock final : public Clock {
    absl::Time WallNow() const override { return real.WallNow(); }
    Instant Now() const override { return real.Now() + late; }
    SystemClock real;
    absl::Duration late;
  };

  TemporaryDirectory directory_;
  SlowClock slow_clock_;
  HookedFileSystem file_system_;
  HookedEventSource events_;
  RecordingLane lane_;
  SourceJournals journals_{&slow_clock_};
  Logger log_{LogFormat::kText, LogLevel::kError};
  std::unique_ptr<SourceWatcher> watcher_;
  Instant now_ = Instant::FromSinceBoot(absl::Hours(1));
  Instant next_;
  std::atomic<bool> asked_ = false;
};

TEST_F(SourceWatcherTest, NewSourceIsReadAtOnce) {
  WriteFile(Path("s/a.yaml"), "1");
  Add("s", "s");
  Step();
  const ReadRequest request = TakeRequest();
  EXPECT_EQ(request.cause, ReadCause::kRecheck);
  EXPECT_TRUE(request.touched.all);
  EXPECT_TRUE(request.route->status.ok());
}

TEST_F(SourceWatcherTest, SwapIsReadInTheSameTurn) {
  KubeletVolume volume(Path("v"));
  volume.Swap({{"a.yaml", "1"}});
  Start("v", "v");
  volume.Swap({{"a.yaml", "2"}});
  Step();
  const ReadRequest request = TakeRequest();
  EXPECT_EQ(request.cause, ReadCause::kCommit);
  EXPECT_EQ(request.commit->name, "..data");
  EXPECT_EQ(request.route->target, *volume.DataDirectory());
}

TEST_F(SourceWatcherTest, WriteInPlaceIsReadOnceItHasSettled) {
  WriteFile(Path("s/a.yaml"), "1");
  Start("s", "s");
  WriteFile(Path("s/a.yaml"), "2");
  Step();
  EXPECT_TRUE(lane_.requests.empty());
  Step(499);
  EXPECT_TRUE(lane_.requests.empty());
  Step(1);
  const ReadRequest request = TakeRequest();
  EXPECT_EQ(request.cause, ReadCause::kSettled);
  EXPECT_FALSE(request.touched.all);
  EXPECT_EQ(request.touched.paths.count("a.yaml"), 1u);
}

TEST_F(SourceWatcherTest, OneReadingIsInFlightAndAChangeDuringItAsksForAnother) {
  WriteFile(Path("s/a.yaml"), "1");
  Start("s", "s");
  WriteFile(Path("s/a.yaml"), "2");
  Step();
  Step(500);
  const ReadRequest first = TakeRequest();
  WriteFile(Path("s/a.yaml"), "3");
  Step();
  Step(2000);
  EXPECT_TRUE(lane_.requests.empty());
  Answer(first, ReadOutcome::kDone);
  EXPECT_EQ(TakeRequest().cause, ReadCause::kSettled);
}

TEST_F(SourceWatcherTest, MovedReadingIsAskedForAgainAsItWasAfterWatchingTheNewTarget) {
  KubeletVolume volume(Path("v"));
  volume.Swap({{"a.yaml", "1"}});
  Start("v", "v");
  volume.Swap({{"a.yaml", "2"}});
  Step();
  const ReadRequest first = TakeRequest();
  volume.Swap({{"a.yaml", "3"}});
  events_.Drain();  // as if the swap had been found by the worker before its event was read
  Answer(first, ReadOutcome::kMoved);
  const ReadRequest second = TakeRequest();
  EXPECT_EQ(second.cause, ReadCause::kCommit);
  EXPECT_EQ(second.route->target, *volume.DataDirectory());
}

TEST_F(SourceWatcherTest, RefusedReadingIsTriedAgainLaterAndLater) {
  WriteFile(Path("s/a.yaml"), "1");
  Add("s", "s");
  Step();
  Answer(TakeRequest(), ReadOutcome::kFailed);
  Step(19);
  EXPECT_TRUE(lane_.requests.empty());
  Step(1);
  Answer(TakeRequest(), ReadOutcome::kFailed);
  Step(39);
  EXPECT_TRUE(lane_.requests.empty());
  Step(1);
  EXPECT_EQ(TakeRequest().cause, ReadCause::kRecheck);
}

TEST_F(SourceWatcherTest, OverflowRescansEverySource) {
  KubeletVolume volume(Path("v"));
  volume.Swap({{"a.yaml", "1"}});
  WriteFile(Path("s/a.yaml"), "1");
  Start("v", "v");
  Start("s", "s");
  volume.Swap({{"a.yaml", "2"}});
  WriteFile(Path("s/a.yaml"), "2");
  LoseEvents();
  Step();
  ASSERT_EQ(lane_.requests.size(), 2u);
  for (const ReadRequest& request : lane_.requests) {
    // What is not at rest is left to the reader to find out.
    EXPECT_EQ(request.cause, ReadCause::kRecheck) << request.source;
    EXPECT_TRUE(request.touched.all) << request.source;
  }
  EXPECT_EQ(lane_.requests[1].route->target, *volume.DataDirectory());
  EXPECT_EQ(watcher_->rescans().overflow.load(), 1);
}

TEST_F(SourceWatcherTest, OverflowsInARowAreLookedIntoOnceASecondAndDisturbNoSettling) {
  WriteFile(Path("s/a.yaml"), "1");
  WriteFile(Path("t/a.yaml"), "1");
  Start("s", "s");
  Start("t", "t");
  LoseEvents();
  Step();
  for (const ReadRequest& request : std::exchange(lane_.requests, {})) {
    Answer(request, ReadOutcome::kDone);
  }
  WriteFile(Path("t/a.yaml"), "2");
  Step();
  int looks = 0;
  int64_t settled_after_ms = -1;
  for (int ms = 20; ms <= 980; ms += 20) {
    LoseEvents();
    Step(20);
    for (const ReadRequest& request : std::exchange(lane_.requests, {})) {
      looks += request.cause == ReadCause::kRecheck ? 1 : 0;
      if (request.cause == ReadCause::kSettled) settled_after_ms = ms;
      Answer(request, ReadOutcome::kDone);
    }
  }
  EXPECT_EQ(settled_after_ms, 500);
  EXPECT_EQ(looks, 0);
  Step(20);
  EXPECT_EQ(lane_.requests.size(), 2u);  // the last one is not forgotten
  EXPECT_EQ(watcher_->rescans().overflow.load(), 50);
}

TEST_F(SourceWatcherTest, ReadingThatEventsWereLostDuringWasDisturbed) {
  WriteFile(Path("s/a.yaml"), "1");
  Start("s", "s");
  LoseEvents();
  Step();
  const ReadRequest request = TakeRequest();
  LoseEvents();
  Step();
  std::thread turns([this] {
    while (!asked_.load()) Step();
  });
  EXPECT_FALSE(watcher_->QuietSince(request));
  asked_.store(true);
  turns.join();
}

// Subdirectories come and go all the time in a tree that takes long to look at.
TEST_F(SourceWatcherTest, TreeWhoseDirectoriesComeAndGoIsReadAndTakesATenthOfTheThread) {
  WriteFile(Path("s/a.yaml"), "1");
  Start("s", "s");
  absl::Duration planning;
  file_system_.before = [&](HookedFileSystem::Call call, const std::string&) {
    if (call != HookedFileSystem::kList) return absl::OkStatus();
    slow_clock_.late += absl::Milliseconds(20);
    planning += absl::Milliseconds(20);
    // No two looks agree.
    if (!std::filesystem::remove(Path("s/while"))) {
      std::filesystem::create_directories(Path("s/while"));
    }
    return absl::OkStatus();
  };
  int readings = 0;
  for (int i = 0; i < 3000; ++i) {
    std::filesystem::create_directories(Path("s/sub"));
    std::filesystem::remove(Path("s/sub"));
    Step(10);
    for (const ReadRequest& request : std::exchange(lane_.requests, {})) {
      EXPECT_EQ(request.cause, ReadCause::kForced);
      ++readings;
      Answer(request, ReadOutcome::kDone);
    }
  }
  EXPECT_GE(readings, 5);  // in 30 s, by max_delay
  EXPECT_LT(planning, absl::Seconds(4));
  // Once it rests it is watched like any other.
  file_system_.before = [](HookedFileSystem::Call, const std::string&) { return absl::OkStatus(); };
  WriteFile(Path("s/new/b.yaml"), "1");
  for (int i = 0; i < 400; ++i) {
    Step(10);
    for (const ReadRequest& request : std::exchange(lane_.requests, {})) {
      Answer(request, ReadOutcome::kDone);
    }
  }
  WriteFile(Path("s/new/b.yaml"), "2");
  Step();
  Step(500);
  EXPECT_EQ(TakeRequest().touched.paths.count("new/b.yaml"), 1u);
}

TEST_F(SourceWatcherTest, ChangeIsReadByMaxDelayHoweverLongItsPlanIsInComing) {
  WriteFile(Path("s/a.yaml"), "1");
  SourceConfig config;
  config.name = "s";
  config.path = Path("s");
  config.max_delay = absl::Seconds(1);
  watcher_->AddSource(config, 1);
  Step();
  Answer(TakeRequest(), ReadOutcome::kDone);
  // The process is stopped while it plans, and what that took is held against the tree.
  bool stopped = false;
  file_system_.before = [&](HookedFileSystem::Call call, const std::string&) {
    if (call == HookedFileSystem::kList && !std::exchange(stopped, true)) {
      slow_clock_.late += absl::Seconds(10);
    }
    return absl::OkStatus();
  };
  std::filesystem::create_directories(Path("s/one"));
  Step();
  Step(10000);
  Answer(TakeRequest(), ReadOutcome::kDone);
  std::filesystem::create_directories(Path("s/two"));
  Step();
  Step(999);
  EXPECT_TRUE(lane_.requests.empty());
  Step(1);
  const ReadRequest request = TakeRequest();
  EXPECT_EQ(request.cause, ReadCause::kForced);
  Answer(request, ReadOutcome::kDone);
  // What was made is watched in the end, too.
  Step(5000);
  for (const ReadRequest& late : std::exchange(lane_.requests, {})) {
    Answer(late, ReadOutcome::kDone);
  }
  WriteFile(Path("s/two/b.yaml"), "1");
  Step();
  Step(1000);
  EXPECT_EQ(TakeRequest().touched.paths.count("two/b.yaml"), 1u);
}

TEST_F(SourceWatcherTest, SwapIsNotHeldUpByDirectoriesThatComeAndGo) {
  KubeletVolume volume(Path("v"));
  volume.Swap({{"a.yaml", "1"}});
  Start("v", "v");
  file_system_.before = [&](HookedFileSystem::Call call, const std::string&) {
    if (call == HookedFileSystem::kList) slow_clock_.late += absl::Milliseconds(20);
    return absl::OkStatus();
  };
  for (int i = 0; i < 300; ++i) {
    std::filesystem::create_directories(*volume.DataDirectory() + "/sub");
    std::filesystem::remove(*volume.DataDirectory() + "/sub");
    Step(10);
    for (const ReadRequest& request : std::exchange(lane_.requests, {})) {
      Answer(request, ReadOutcome::kDone);
    }
  }
  volume.Swap({{"a.yaml", "2"}});
  Step(40);
  const ReadRequest request = TakeRequest();
  EXPECT_EQ(request.cause, ReadCause::kCommit);
  EXPECT_EQ(request.route->target, *volume.DataDirectory());
}

TEST_F(SourceWatcherTest, MissingPathAppearingByMkdirIsSeenAtAnyDepth) {
  Start("s", "1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17/18/19/20");
  WriteFile(Path("1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17/18/19/20/a.yaml"), "1");
  for (int i = 0; i < 25; ++i) Step();
  Step(500);
  const ReadRequest request = TakeRequest();
  EXPECT_TRUE(request.route->status.ok()) << request.route->status;
}

TEST_F(SourceWatcherTest, SubdirectoryMadeLaterIsWatched) {
  WriteFile(Path("s/a.yaml"), "1");
  Start("s", "s");
  std::filesystem::create_directories(Path("s/sub"));
  Step();
  Step(500);
  Answer(TakeRequest(), ReadOutcome::kDone);
  WriteFile(Path("s/sub/b.yaml"), "1");
  Step();
  Step(500);
  EXPECT_EQ(TakeRequest().touched.paths.count("sub/b.yaml"), 1u);
}

TEST_F(SourceWatcherTest, WhatALinkBringsIntoTheTreeSettlesFromWhenItIsWatched) {
  WriteFile(Path("s/a.yaml"), "1");
  WriteFile(Path("s/.git/sub/b.yaml"), "1");  // ignored under this name, so not watched
  Start("s", "s");
  MakeLink(".git/sub", Path("s/link"));
  Step();
  Step(500);
  EXPECT_TRUE(lane_.requests.empty());
  WriteFile(Path("s/.git/sub/b.yaml"), "2");
  Step(400);
  Step(499);
  EXPECT_TRUE(lane_.requests.empty());
  Step(1);
  EXPECT_EQ(TakeRequest().cause, ReadCause::kSettled);
}

TEST_F(SourceWatcherTest, AncestorReplacedByRenameIsSeen) {
  WriteFile(Path("top/s/a.yaml"), "1");
  Start("s", "top/s");
  WriteFile(Path("other/s/a.yaml"), "2");
  std::filesystem::rename(Path("top"), Path("gone"));
  std::filesystem::rename(Path("other"), Path("top"));
  Step();
  const ReadRequest request = TakeRequest();
  EXPECT_EQ(request.cause, ReadCause::kCommit);
  EXPECT_EQ(request.commit->name, "top");
}

TEST_F(SourceWatcherTest, OneOfTwoSourcesOfADirectoryRemovedLeavesTheOther) {
  WriteFile(Path("s/a.yaml"), "1");
  MakeLink("s", Path("link"));
  Start("one", "s");
  Start("two", "link");
  watcher_->RemoveSource("one");
  Step();
  WriteFile(Path("s/a.yaml"), "2");
  Step();
  Step(500);
  EXPECT_EQ(TakeRequest().source, "two");
}

TEST_F(SourceWatcherTest, SourceThatCannotBeWatchedIsPolledAndWatchedWhenItCan) {
  WriteFile(Path("s/a.yaml"), "1");
  events_.before_watch = [](const std::string&) { return absl::ResourceExhaustedError("limit"); };
  Add("s", "s");
  Step();
  ReadRequest request = TakeRequest();
  EXPECT_EQ(request.polled_because, "limit");
  Answer(request, ReadOutcome::kDone);
  Step(1000);
  request = TakeRequest();
  EXPECT_EQ(request.polled_because, "limit");
  events_.before_watch = [](const std::string&) { return absl::OkStatus(); };
  Answer(request, ReadOutcome::kDone);
  Step(10'000);
  request = TakeRequest();
  EXPECT_EQ(request.polled_because, "");
  Answer(request, ReadOutcome::kDone);
  WriteFile(Path("s/a.yaml"), "2");
  Step();
  Step(500);
  EXPECT_EQ(TakeRequest().cause, ReadCause::kSettled);
}

TEST_F(SourceWatcherTest, PollsThatTakeLongAreMadeRarely) {
  WriteFile(Path("s/a.yaml"), "1");
  events_.before_watch = [](const std::string&) { return absl::ResourceExhaustedError("limit"); };
  Add("s", "s");
  Step();
  const auto poll_that_takes = [this](int64_t milliseconds) {
    const ReadRequest request = TakeRequest();
    Step(milliseconds);
    Answer(request, ReadOutcome::kDone);
  };
  poll_that_takes(2000);
  Step(1000);  // that may have been by chance
  poll_that_takes(3000);
  Step(37'900);  // 19 times as long as the shorter, so that polling takes 5 %
  EXPECT_TRUE(lane_.requests.empty());
  Step(200);
  poll_that_takes(10);
  Step(1000);
  TakeRequest();
}

TEST_F(SourceWatcherTest, EveryTenthPollReusesNothing) {
  WriteFile(Path("s/a.yaml"), "1");
  events_.before_watch = [](const std::string&) { return absl::ResourceExhaustedError("limit"); };
  Add("s", "s");
  Step();
  Answer(TakeRequest(), ReadOutcome::kDone);
  int full = 0;
  for (int i = 0; i < 20; ++i) {
    Step(1000);
    const ReadRequest request = TakeRequest();
    full += request.reuse_nothing ? 1 : 0;
    Answer(request, ReadOutcome::kDone);
  }
  EXPECT_EQ(full, 2);
}

TEST_F(SourceWatcherTest, SourceThatIsAlwaysPolledIsNeverTouchedByTheWatchThread) {
  WriteFile(Path("s/a.yaml"), "1");
  SourceConfig config;
  config.name = "s";
  config.path = Path("s");
  config.always_poll = true;
  config.poll_interval = absl::Seconds(3);
  watcher_->AddSource(config, 1);
  Step();
  ReadRequest request = TakeRequest();
  EXPECT_FALSE(request.route.has_value());
  EXPECT_TRUE(request.may_hang);
  EXPECT_THAT(request.polled_because, HasSubstr("always_poll"));
  EXPECT_EQ(events_.watched(), 0u);
  Answer(request, ReadOutcome::kDone);
  Step(2990);
  EXPECT_TRUE(lane_.requests.empty());
  Step(10);
  EXPECT_EQ(TakeRequest().cause, ReadCause::kRecheck);
}

TEST_F(SourceWatcherTest, WhatLiesOnANetworkFileSystemIsNotTouchedAndTheWayThereIsWatched) {
  WriteFile(Path("mnt/s/a.yaml"), "1");
  MakeLink("mnt/s", Path("link"));
  std::string local = "1 0 0:1 / / rw - ext4 /dev/vda rw\n";
  file_system_.mounts =
      MountTable::Parse(local + "2 1 0:2 / " + Path("mnt") + " rw - nfs4 server:/x rw\n");
  bool touched = false;
  file_system_.before = [&](HookedFileSystem::Call, const std::string& name) {
    touched = touched || name == "mnt";
    return absl::OkStatus();
  };
  Add("s", "link");
  Step();
  ReadRequest request = TakeRequest();
  EXPECT_TRUE(request.may_hang);
  EXPECT_FALSE(request.route.has_value());
  EXPECT_THAT(request.polled_because, HasSubstr("nfs4"));
  Answer(request, ReadOutcome::kDone);
  WriteFile(Path("other/a.yaml"), "2");
  SwapLink("other", Path("link"));
  Step();
  request = TakeRequest();
  EXPECT_EQ(request.cause, ReadCause::kCommit);
  ASSERT_TRUE(request.route.has_value());
  EXPECT_EQ(request.route->target, Path("other"));
  EXPECT_EQ(request.polled_because, "");
  EXPECT_FALSE(touched);
}

TEST_F(SourceWatcherTest, MountedFileIsPolledSinceItsDirectoryDoesNotTell) {
  WriteFile(Path("s/a.yaml"), "1");
  WriteFile(Path("s/b.yaml"), "1");
  file_system_.mounts = MountTable::Parse("2 1 0:2 /x " + Path("s/a.yaml") + " rw - ext4 x rw\n");
  Add("directory", "s");
  Add("file", "s/a.yaml");
  Add("other", "s/b.yaml");
  Step();
  ASSERT_EQ(lane_.requests.size(), 3u);
  EXPECT_THAT(lane_.requests[0].polled_because, HasSubstr("is a mounted file"));
  EXPECT_THAT(lane_.requests[1].polled_because, HasSubstr("is a mounted file"));
  EXPECT_EQ(lane_.requests[2].polled_because, "");
  EXPECT_FALSE(lane_.requests[0].may_hang);
  EXPECT_TRUE(lane_.requests[0].route.has_value());
}

TEST_F(SourceWatcherTest, MountsThatChangeOnTheWayOrBelowAreLookedAtTogetherAndOthersAreNot) {
  WriteFile(Path("s/a.yaml"), "1");
  const std::string root = "1 0 0:1 / / rw - ext4 /dev/vda rw\n";
  file_system_.mounts = MountTable::Parse(root);
  Start("s", "s");
  file_system_.mounts = MountTable::Parse(root + "2 1 0:2 / /elsewhere rw - tmpfs x rw\n");
  watcher_->MountsChanged();
  Step(1000);
  Step();
  EXPECT_TRUE(lane_.requests.empty());
  file_system_.mounts = MountTable::Parse(root + "3 1 0:3 / " + Path("s") + " rw - tmpfs x rw\n");
  watcher_->MountsChanged();
  Step();
  Step(500);
  EXPECT_TRUE(lane_.requests.empty()) << "no more than one look a second";
  Step(500);
  Answer(TakeRequest(), ReadOutcome::kDone);
  file_system_.mounts = MountTable::Parse(root + "3 1 0:3 / " + Path("s") + " rw - tmpfs x rw\n" +
                                          "4 3 0:4 / " + Path("s/sub") + " rw - tmpfs x rw\n");
  watcher_->MountsChanged();
  Step(1000);
  Step();
  TakeRequest();
}

TEST_F(SourceWatcherTest, MountsThatCannotBeReadOnceAreReadAgain) {
  WriteFile(Path("s/a.yaml"), "1");
  const std::string root = "1 0 0:1 / / rw - ext4 /dev/vda rw\n";
  file_system_.mounts = MountTable::Parse(root);
  Start("s", "s");
  file_system_.mounts = MountTable::Parse(root + "3 1 0:3 / " + Path("s") + " rw - tmpfs x rw\n");
  int failures = 0;
  file_system_.before = [&](HookedFileSystem::Call call, const std::string&) {
    if (call != HookedFileSystem::kMounts || failures++ > 0) return absl::OkStatus();
    return absl::ResourceExhaustedError("too many open files");
  };
  watcher_->MountsChanged();
  Step(1000);
  EXPECT_EQ(failures, 1);
  EXPECT_TRUE(lane_.requests.empty());
  Step(1000);
  Step();
  TakeRequest();
}

TEST_F(SourceWatcherTest, JournalTellsWhatWasSeenAndDecided) {
  WriteFile(Path("s/a.yaml"), "1");
  Start("s", "s");
  WriteFile(Path("s/a.yaml"), "2");
  Step();
  Step(500);
  Answer(TakeRequest(), ReadOutcome::kUnsettled);
  std::vector<std::string> told;
  for (const SourceEvent& event : journals_.Of("s")->Events()) told.push_back(event.detail);
  EXPECT_THAT(told, ElementsAre("leads to " + Path("s"), "written to: a.yaml",
                                "closed after writing: a.yaml",
                                "waiting until nothing has changed for 500ms, at most 5s",
                                "the files were changing meanwhile: once more",
                                "waiting until nothing has changed for 500ms, at most 5s"));
}

TEST_F(SourceWatcherTest, JournalTellsOnceASecondOfWhatIsNotRead) {
  WriteFile(Path("s/a.yaml"), "1");
  Start("s", "s");
  const auto told = [this] {
    int64_t count = 0;
    for (const SourceEvent& event : journals_.Of("s")->Events()) {
      if (absl::StrContains(event.detail, "a.yaml~ is not read")) count += event.count;
    }
    return count;
  };
  for (int i = 0; i < 20; ++i) {
    WriteFile(Path("s/a.yaml~"), "1");
    Step(100);
  }
  EXPECT_EQ(told(), 2);
  Step(1000);
  EXPECT_TRUE(lane_.requests.empty());
}

TEST_F(SourceWatcherTest, PeriodicRescanLooksAgainAndEveryTenthReusesNothing) {
  WriteFile(Path("s/a.yaml"), "1");
  Start("s", "s");
  int full = 0;
  for (int i = 0; i < 20; ++i) {
    Step(60'000);
    const ReadRequest request = TakeRequest();
    EXPECT_EQ(request.cause, ReadCause::kRecheck);
    EXPECT_FALSE(request.touched.all);
    full += request.reuse_nothing ? 1 : 0;
    Answer(request, ReadOutcome::kDone);
  }
  EXPECT_EQ(full, 2);
}

TEST_F(SourceWatcherTest, IdleSourceAsksForNoTurnBeforeItsRescan) {
  WriteFile(Path("s/a.yaml"), "1");
  Start("s", "s");
  EXPECT_GT(next_ - now_, absl::Seconds(20));
}

TEST_F(SourceWatcherTest, AnswerForASourceOfOldSettingsIsIgnored) {
  WriteFile(Path("s/a.yaml"), "1");
  Add("s", "s");
  Step();
  const ReadRequest old = TakeRequest();
  SourceConfig config;
  config.name = "s";
  config.path = Path("s");
  watcher_->AddSource(config, 2);
  Step();
  const ReadRequest current = TakeRequest();
  EXPECT_EQ(current.incarnation, 2u);
  watcher_->Answer({"s", old.incarnation, ReadOutcome::kMoved});
  Step();
  EXPECT_TRUE(lane_.requests.empty());  // the current one is still in flight
}

TEST_F(SourceWatcherTest, ProbeSeesAnEventThatWasStillQueued) {
  WriteFile(Path("s/a.yaml"), "1");
  Start("s", "s");
  WriteFile(Path("s/a.yaml"), "2");
  Step();
  Step(500);
  const ReadRequest request = TakeRequest();
  std::thread watching([this] { watcher_->Run(); });
  EXPECT_TRUE(watcher_->QuietSince(request));
  WriteFile(Path("s/a.yaml"), "3");  // no turn is taken on purpose: the probe itself must look
  EXPECT_FALSE(watcher_->QuietSince(request));
  watcher_->Stop();
  EXPECT_FALSE(watcher_->QuietSince(request));
  watching.join();
}

}  // namespace
}  // namespace confstream
