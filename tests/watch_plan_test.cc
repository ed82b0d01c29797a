#include "server/watch/watch_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "tests/fakes/files.h"
#include "tests/fakes/hooked_event_source.h"
#include "tests/fakes/kubelet_volume.h"
#include "tests/fakes/temporary_directory.h"

namespace confstream {
namespace {

using testing::ElementsAre;

class WatchPlanTest : public testing::Test {
 protected:
  std::string Path(const std::string& relative) { return directory_.Path(relative); }

  std::unique_ptr<WatchPlan> PlanFor(const std::string& relative,
                                     std::vector<std::string> link_roots = {}) {
    SourceConfig config;
    config.name = "s";
    config.path = Path(relative);
    config.link_roots = std::move(link_roots);
    return std::make_unique<WatchPlan>(&file_system_, &guard_, &events_, config);
  }

  // What the plan makes of the events that have come, without those that mean nothing to it.
  std::vector<EventMeaning> Meanings(const WatchPlan& plan) {
    std::vector<EventMeaning> meanings;
    for (const WatchEvent& event : events_.Drain()) {
      EventMeaning meaning = plan.Interpret(event);
      if (meaning.what != EventMeaning::kNothing) meanings.push_back(std::move(meaning));
    }
    return meanings;
  }

  TemporaryDirectory directory_;
  PosixFileSystem file_system_;
  MountGuard guard_;
  HookedEventSource events_;
};

TEST_F(WatchPlanTest, WhatIsCreatedBetweenResolvingAndWatchingIsFound) {
  auto plan = PlanFor("a/b/c");
  bool done = false;
  // The component appears after the path was resolved and before its directory is watched: no event
  // will tell.
  events_.before_watch = [&](const std::string& directory) {
    if (!done && directory == directory_.path()) {
      done = true;
      WriteFile(Path("a/b/c/x.yaml"), "x: 1");
    }
    return absl::OkStatus();
  };
  const WatchPlan::Armed armed = plan->Arm();
  EXPECT_TRUE(done);
  EXPECT_TRUE(armed.agreed);
  EXPECT_TRUE(plan->route().status.ok()) << plan->route().status;
  WriteFile(Path("a/b/c/y.yaml"), "");
  EXPECT_FALSE(Meanings(*plan).empty());  // and it is watched
}

TEST_F(WatchPlanTest, PathThatKeepsChangingIsGivenUpForNowWithinABound) {
  std::filesystem::create_directories(Path("one"));
  SwapLink("one", Path("link"));
  auto plan = PlanFor("link");
  int swaps = 0;
  events_.before_watch = [&](const std::string& directory) {
    if (directory == directory_.path()) {
      SwapLink("one", Path("link"));
      ++swaps;
    }
    return absl::OkStatus();
  };
  EXPECT_FALSE(plan->Arm().agreed);
  EXPECT_LT(swaps, 50);
}

TEST_F(WatchPlanTest, SwapOfDataIsACommitAndNothingElseInTheVolumeCounts) {
  KubeletVolume volume(Path("volume"));
  volume.Swap({{"a.yaml", "1"}});
  auto plan = PlanFor("volume");
  ASSERT_TRUE(plan->Arm().agreed);
  events_.Drain();
  volume.Swap({{"a.yaml", "2"}, {"new.yaml", "3"}});
  std::vector<EventMeaning> commits;
  for (EventMeaning& meaning : Meanings(*plan)) {
    if (meaning.what == EventMeaning::kCommit) commits.push_back(std::move(meaning));
    // Besides, only the end of the old directory and its files shows; the links of keys do not.
    for (const std::string& path : meaning.touched) EXPECT_EQ(path, "a.yaml");
  }
  ASSERT_EQ(commits.size(), 1u);
  EXPECT_EQ(commits[0].hop.name, "..data");
  EXPECT_TRUE(commits[0].route_may_differ);
}

TEST_F(WatchPlanTest, LinkMadeByCreateIsNoCommit) {
  WriteFile(Path("one/a"), "");
  WriteFile(Path("two/a"), "");
  MakeLink("one", Path("link"));
  auto plan = PlanFor("link");
  ASSERT_TRUE(plan->Arm().agreed);
  events_.Drain();
  MakeLink("two", Path("link"));  // unlink and symlink, as `ln -sfn` of BusyBox
  for (const EventMeaning& meaning : Meanings(*plan)) {
    EXPECT_EQ(meaning.what, EventMeaning::kChange);
    EXPECT_TRUE(meaning.route_may_differ);
  }
}

TEST_F(WatchPlanTest, RenameInsideADirectorySourceIsAChangeOfThatFile) {
  WriteFile(Path("source/a.yaml"), "1");
  auto plan = PlanFor("source");
  ASSERT_TRUE(plan->Arm().agreed);
  events_.Drain();
  WriteFile(Path("elsewhere"), "2");
  std::filesystem::rename(Path("elsewhere"), Path("source/a.yaml"));
  const auto meanings = Meanings(*plan);
  ASSERT_EQ(meanings.size(), 1u);
  EXPECT_EQ(meanings[0].what, EventMeaning::kChange);
  EXPECT_THAT(meanings[0].touched, ElementsAre("a.yaml"));
  EXPECT_FALSE(meanings[0].touched_all);
}

TEST_F(WatchPlanTest, SingleFileReplacedAtomicallyIsACommitAndItsNeighboursDoNotCount) {
  WriteFile(Path("etc/app.yaml"), "1");
  auto plan = PlanFor("etc/app.yaml");
  ASSERT_TRUE(plan->Arm().agreed);
  events_.Drain();
  WriteFile(Path("etc/other.yaml"), "x");
  EXPECT_TRUE(Meanings(*plan).empty());
  WriteFile(Path("new"), "2");
  std::filesystem::rename(Path("new"), Path("etc/app.yaml"));
  const auto meanings = Meanings(*plan);
  ASSERT_EQ(meanings.size(), 1u);
  EXPECT_EQ(meanings[0].what, EventMeaning::kCommit);
}

TEST_F(WatchPlanTest, WriteToTheTargetOfALinkOutOfTheTreeIsAChange) {
  WriteFile(Path("shared/a.yaml"), "1");
  WriteFile(Path("shared/other.yaml"), "1");
  std::filesystem::create_directories(Path("source"));
  MakeLink("../shared/a.yaml", Path("source/a.yaml"));
  auto plan = PlanFor("source", {Path("shared")});
  ASSERT_TRUE(plan->Arm().agreed);
  events_.Drain();
  WriteFile(Path("shared/other.yaml"), "2");
  EXPECT_TRUE(Meanings(*plan).empty());
  WriteFile(Path("shared/a.yaml"), "2");
  const auto meanings = Meanings(*plan);
  ASSERT_FALSE(meanings.empty());
  EXPECT_EQ(meanings.back().what, EventMeaning::kClosed);
  EXPECT_TRUE(meanings.back().touched_all);
}

TEST_F(WatchPlanTest, RetargetedLinkRootIsAChange) {
  WriteFile(Path("one/a.yaml"), "1");
  WriteFile(Path("two/a.yaml"), "1");
  MakeLink("one", Path("shared"));
  std::filesystem::create_directories(Path("source"));
  auto plan = PlanFor("source", {Path("shared")});
  ASSERT_TRUE(plan->Arm().agreed);
  events_.Drain();
  MakeLink("two", Path("new"));
  std::filesystem::rename(Path("new"), Path("shared"));
  const auto meanings = Meanings(*plan);
  ASSERT_FALSE(meanings.empty());
  EXPECT_EQ(meanings.back().what, EventMeaning::kChange);
  EXPECT_TRUE(meanings.back().directory_came_or_went);
}

TEST_F(WatchPlanTest, WriteToTheTargetOfALinkThatIsRefusedMeansNothing) {
  WriteFile(Path("elsewhere/a.yaml"), "1");
  std::filesystem::create_directories(Path("source"));
  MakeLink("../elsewhere/a.yaml", Path("source/a.yaml"));
  auto plan = PlanFor("source");
  ASSERT_TRUE(plan->Arm().agreed);
  events_.Drain();
  WriteFile(Path("elsewhere/a.yaml"), "2");
  EXPECT_TRUE(Meanings(*plan).empty());
}

TEST_F(WatchPlanTest, WhatIsNotReadMeansNothingAndTheReasonIsSaid) {
  WriteFile(Path("source/a.yaml"), "1");
  WriteFile(Path("source/b.txt"), "1");
  SourceConfig config;
  config.name = "s";
  config.path = Path("source");
  config.include = {*PathGlob::Parse("*.yaml")};
  config.exclude = {*PathGlob::Parse("old.yaml")};
  WatchPlan plan(&file_system_, &guard_, &events_, config);
  ASSERT_TRUE(plan.Arm().agreed);
  const auto left_out_after_writing = [&](const std::string& name) {
    events_.Drain();
    WriteFile(Path("source/" + name), "2");
    std::string left_out;
    for (const WatchEvent& event : events_.Drain()) {
      const EventMeaning meaning = plan.Interpret(event);
      if (meaning.what == EventMeaning::kNothing) left_out = meaning.left_out;
    }
    return left_out;
  };
  EXPECT_EQ(left_out_after_writing("a.yaml"), "");
  EXPECT_EQ(left_out_after_writing("b.txt"),
            "b.txt is not read, since no glob of `include` matches it");
  EXPECT_EQ(left_out_after_writing("old.yaml"),
            "old.yaml is not read, since a glob of `exclude` matches it");
  EXPECT_EQ(left_out_after_writing("a.yaml~"),
            "a.yaml~ is not read, since editors and copying programs use such names for what is "
            "not finished");
}

TEST_F(WatchPlanTest, WhatIsBesideDataIsSaidNotToBeReadUnlessItIsKubeletsOwn) {
  KubeletVolume volume(Path("volume"));
  volume.Swap({{"a.yaml", "1"}});
  auto plan = PlanFor("volume");
  ASSERT_TRUE(plan->Arm().agreed);
  events_.Drain();
  WriteFile(Path("volume/..own"), "1");
  WriteFile(Path("mine.yaml"), "1");
  for (const WatchEvent& event : events_.Drain()) {
    EXPECT_EQ(plan->Interpret(event).left_out, "") << event.name;
  }
  WriteFile(Path("volume/mine.yaml"), "1");
  const std::vector<WatchEvent> events = events_.Drain();
  ASSERT_FALSE(events.empty());
  EXPECT_EQ(plan->Interpret(events[0]).left_out,
            "mine.yaml is not read, since of a volume with a link `..data` only what is behind the "
            "link is");
}

TEST_F(WatchPlanTest, PlainDirectoryThatBecomesAVolumeStaysOne) {
  std::filesystem::create_directories(Path("volume"));
  auto plan = PlanFor("volume");
  ASSERT_TRUE(plan->Arm().agreed);
  events_.Drain();
  KubeletVolume volume(Path("volume"));
  volume.Swap({{"a.yaml", "1"}});
  bool commit = false;
  for (const EventMeaning& meaning : Meanings(*plan)) {
    commit = commit || (meaning.what == EventMeaning::kCommit && meaning.hop.name == "..data");
  }
  EXPECT_TRUE(commit);
  ASSERT_TRUE(plan->Arm().agreed);
  EXPECT_TRUE(plan->route().kubernetes_volume);
  std::filesystem::remove(Path("volume/..data"));
  ASSERT_TRUE(plan->Arm().agreed);
  EXPECT_EQ(plan->route().status.code(), absl::StatusCode::kNotFound);
}

TEST_F(WatchPlanTest, RefusedWatchIsReportedAndTheRestStaysWatched) {
  WriteFile(Path("source/a.yaml"), "1");
  auto plan = PlanFor("source");
  events_.before_watch = [&](const std::string& directory) {
    return directory == directory_.path() ? absl::ResourceExhaustedError("limit")
                                          : absl::OkStatus();
  };
  const WatchPlan::Armed armed = plan->Arm();
  EXPECT_EQ(armed.watching.code(), absl::StatusCode::kResourceExhausted);
  WriteFile(Path("source/a.yaml"), "2");
  EXPECT_FALSE(Meanings(*plan).empty());
}

TEST_F(WatchPlanTest, HundredSwapsLeaveNoWatchBehind) {
  KubeletVolume volume(Path("volume"));
  volume.Swap({{"a.yaml", "0"}});
  auto plan = PlanFor("volume");
  ASSERT_TRUE(plan->Arm().agreed);
  const size_t watched = events_.watched();
  for (int i = 1; i <= 100; ++i) {
    volume.Swap({{"a.yaml", std::to_string(i)}});
    ASSERT_TRUE(plan->Arm().agreed);
  }
  EXPECT_EQ(events_.watched(), watched);
  plan.reset();
  EXPECT_EQ(events_.watched(), 0u);
}

}  // namespace
}  // namespace confstream
