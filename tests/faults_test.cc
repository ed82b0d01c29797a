// The way from the files to the versions while the file system fails, changes and answers by
// halves, at every call in turn.

#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/faults_fixture.h"
#include "tests/faults_scenarios.h"

namespace confstream {
namespace {

// Long enough for every retry after a fault: the longest pause before a reading is 5 s, before
// watching 10 s. The periodic rescan, which would find anything, is an hour away.
constexpr absl::Duration kRecovery = absl::Seconds(16);
// Several polls.
constexpr absl::Duration kPolledRecovery = absl::Seconds(5);

// More than a change leads to; polling goes on for ever.
constexpr int kMaxCalls = 150;
constexpr int kMaxTurns = 15;

// Makes temporary directories in memory where that can be had: tens of thousands of files are made.
class TemporaryInMemory final : public testing::Environment {
 public:
  void SetUp() override {
    if (access("/dev/shm", W_OK | X_OK) == 0) setenv("TMPDIR", "/dev/shm", /*overwrite=*/1);
  }
};
const testing::Environment* const kTemporaryInMemory =
    testing::AddGlobalTestEnvironment(new TemporaryInMemory);

absl::Status Healthy(const std::string&) { return absl::OkStatus(); }

// What fails after each change but the last: `calls` calls from the `first` on, counted from 0, of
// this name if it is not empty.
struct Burst {
  int first = 0;
  int calls = 1;
  int error = EIO;
  std::string only;
};

class FaultsTest : public testing::Test {
 protected:
  // A scenario and who observes it.
  struct Stage {
    std::unique_ptr<Scenario> scenario;
    int number = 0;  // of the newest content
    std::unique_ptr<ObservedSource> source;

    void Change() { source->Made(scenario->Make(++number)); }
  };

  // Makes the first content and begins to observe it. `before` is as ObservedSource has it.
  std::unique_ptr<Stage> Begin(ObservedSource::Hook before = Healthy) {
    auto stage = std::make_unique<Stage>();
    if (volume_) {
      stage->scenario = std::make_unique<VolumeScenario>();
    } else {
      stage->scenario = std::make_unique<PlainScenario>();
    }
    const Files first = stage->scenario->Make(++stage->number);
    SourceConfig config = stage->scenario->Config();
    config.always_poll = polls_;
    stage->source = std::make_unique<ObservedSource>(config, &events_, std::move(before));
    stage->source->Made(first);
    return stage;
  }

  // The newest content is served in time.
  void ExpectServed(Stage* stage) {
    stage->source->Pass(polls_ ? kPolledRecovery : kRecovery);
    const std::vector<Violation>& said = stage->source->state().status.violations;
    EXPECT_TRUE(stage->source->ServesTheNewest())
        << "content " << stage->number
        << " is not served: " << (said.empty() ? "no violation" : TextOf(said[0]));
  }

  // Goes through the scenario. `changed` is called after each change and before anybody notices it.
  void GoThrough(
      Stage* stage, const std::function<void()>& changed = [] {}) {
    changed();
    ExpectServed(stage);
    while (stage->number < Scenario::kContents && !HasFailure()) {
      stage->Change();
      changed();
      ExpectServed(stage);
    }
  }

  // Lets the burst take place. False: there are not so many calls, or the test has failed.
  bool Fail(const Burst& burst) {
    SCOPED_TRACE(absl::StrCat(strerror(burst.error), " at ", burst.calls, " calls ", burst.only,
                              " from number ", burst.first));
    int counted = 0;
    bool failed = false;
    bool healthy = false;
    const auto stage = Begin([&](const std::string& call) {
      if (healthy || (!burst.only.empty() && call != burst.only)) return absl::OkStatus();
      const int number = counted++;
      if (number < burst.first || number >= burst.first + burst.calls) return absl::OkStatus();
      failed = true;
      return absl::ErrnoToStatus(burst.error, call);
    });
    GoThrough(stage.get(), [&] {
      counted = 0;
      healthy = stage->number == Scenario::kContents;  // what broke before shows here
    });
    return failed && !HasFailure();
  }

  // Every call after every change, in turn.
  void FailAtEveryCall(int error) {
    int call = 0;
    while (call < kMaxCalls && Fail({call, 1, error, ""})) ++call;
    EXPECT_GT(call, 100);
  }

  // The change after every other change comes at call number `at` after that. False: there are not
  // so many calls, or the test has failed.
  bool ChangeAt(int at, bool from_first) {
    SCOPED_TRACE(absl::StrCat("the next change at call ", at));
    int counted = 0;
    bool due = false;
    bool came = false;
    Stage* changing = nullptr;
    const auto stage = Begin([&](const std::string&) {
      if (due && counted++ == at) {
        due = false;
        came = true;
        changing->scenario->AwaitTick();
        changing->Change();
      }
      return absl::OkStatus();
    });
    changing = stage.get();
    if (!from_first) GoOn(stage.get());
    while (stage->number < Scenario::kContents && !HasFailure()) {
      counted = 0;
      due = true;
      GoOn(stage.get());
      due = false;
    }
    return came && !HasFailure();
  }

  // A file is away while a directory is listed, for the `at`th time after each change, and comes
  // back `later` calls afterwards. False: there are not so many listings, or the test has failed.
  bool BeAwayDuringList(int at, int later) {
    SCOPED_TRACE(absl::StrCat("a file is away at listing ", at, " and ", later, " calls more"));
    int listings = 0;
    int away_for = -1;  // calls that it is still away; -1: it is there
    bool was_away = false;
    Scenario* scenario = nullptr;
    const auto stage = Begin([&](const std::string& call) {
      if (call == "List" && listings++ == at) {
        scenario->AwaitTick();
        scenario->TakeAway();
        was_away = true;
        away_for = later;
      }
      return absl::OkStatus();
    });
    scenario = stage->scenario.get();
    stage->source->file_system.after = [&](HookedFileSystem::Call) {
      if (away_for < 0) return;
      if (away_for == 0) scenario->PutBack();
      --away_for;
    };
    GoThrough(stage.get(), [&] { listings = 0; });
    return was_away && !HasFailure();
  }

  // The time of day jumps before the `at`th turn after each change. False: as above.
  bool JumpAtTurn(int at, absl::Duration jump) {
    SCOPED_TRACE(absl::StrCat("the clock jumps at turn ", at, " by ", absl::FormatDuration(jump)));
    int turns = 0;
    bool jumped = false;
    const auto stage = Begin();
    stage->source->before_turn = [&] {
      if (turns++ != at) return;
      jumped = true;
      stage->source->clock.Jump(jump);
      jump = -jump;
    };
    GoThrough(stage.get(), [&] { turns = 0; });
    return jumped && !HasFailure();
  }

  void JumpAtEveryTurn() {
    for (const absl::Duration jump : {absl::Hours(1), -absl::Hours(1)}) {
      int turn = 0;
      while (turn < kMaxTurns && JumpAtTurn(turn, jump)) ++turn;
      EXPECT_GT(turn, 2);
    }
  }

  // Does it with each scenario.
  void ForEach(const std::function<void()>& body) {
    for (const bool volume : {true, false}) {
      SCOPED_TRACE(volume ? "a volume" : "a plain directory");
      volume_ = volume;
      body();
    }
  }

  bool polls_ = false;  // the setting always_poll
  bool volume_ = true;  // the scenario
  HookedEventSource events_;

 private:
  // Lets the newest content be served, and makes the next.
  void GoOn(Stage* stage) {
    ExpectServed(stage);
    if (stage->number < Scenario::kContents) stage->Change();
  }
};

TEST_F(FaultsTest, WithoutAFaultEveryContentIsServed) {
  ForEach([&] { GoThrough(Begin().get()); });
}

TEST_F(FaultsTest, NoPermissionAtAnyCallIsSurvived) {
  ForEach([&] { FailAtEveryCall(EACCES); });
}

TEST_F(FaultsTest, InputOutputErrorAtAnyCallIsSurvived) {
  ForEach([&] { FailAtEveryCall(EIO); });
}

TEST_F(FaultsTest, FullDeviceAtAnyCallIsSurvived) {
  ForEach([&] { FailAtEveryCall(ENOSPC); });
}

TEST_F(FaultsTest, StaleHandleAtAnyCallIsSurvived) {
  ForEach([&] { FailAtEveryCall(ESTALE); });
}

TEST_F(FaultsTest, NoMoreDescriptorsAtAnyCallIsSurvived) {
  ForEach([&] { FailAtEveryCall(EMFILE); });
}

// So long that planning and reading fail, and the retries as well.
TEST_F(FaultsTest, FaultsThatLastAreSurvivedWhereverTheyBegin) {
  const int errors[] = {EACCES, EIO, ENOSPC, ESTALE, EMFILE};
  ForEach([&] {
    int call = 0;
    while (Fail({call, 25, errors[call % 5], ""})) ++call;
    EXPECT_GT(call, 100);
  });
}

// So short that the watch thread's looks fail and the reading does not.
TEST_F(FaultsTest, DirectoriesThatCannotBeListedForAWhileAreStillWatchedLater) {
  ForEach([&] {
    for (int calls = 1; calls <= 8; ++calls) {
      int list = 0;
      while (Fail({list, calls, list % 2 == 0 ? EIO : EMFILE, "List"})) ++list;
      EXPECT_GT(list, 3);
    }
  });
}

TEST_F(FaultsTest, ChangeAtAnyCallIsFoundAndNothingIsMixed) {
  ForEach([&] {
    for (const bool from_first : {true, false}) {
      int call = 0;
      while (ChangeAt(call, from_first)) ++call;
      EXPECT_GT(call, 60);
    }
  });
}

TEST_F(FaultsTest, FileThatIsAwayWhileItsDirectoryIsListedIsNeverPublishedAsDeleted) {
  ForEach([&] {
    for (const int later : {0, 1, 5, 20}) {
      int listing = 0;
      while (BeAwayDuringList(listing, later)) ++listing;
      EXPECT_GT(listing, 3);
    }
  });
}

TEST_F(FaultsTest, ShortReadsMakeWholeFiles) {
  ForEach([&] {
    const auto stage = Begin();
    stage->source->file_system.max_read_bytes = 1;
    GoThrough(stage.get());
  });
}

TEST_F(FaultsTest, ClockThatJumpsByAnHourBetweenAnyTwoTurnsLosesNothing) {
  ForEach([&] { JumpAtEveryTurn(); });
}

class PolledFaultsTest : public FaultsTest {
 protected:
  PolledFaultsTest() { polls_ = true; }
};

TEST_F(PolledFaultsTest, WithoutAnyEventEveryContentIsServed) {
  ForEach([&] { GoThrough(Begin().get()); });
  EXPECT_EQ(events_.watched(), 0u);
}

TEST_F(PolledFaultsTest, ErrorAtAnyCallIsSurvived) {
  ForEach([&] { FailAtEveryCall(EIO); });
}

TEST_F(PolledFaultsTest, ChangeAtAnyCallIsFoundAndNothingIsMixed) {
  ForEach([&] {
    int call = 0;
    while (call < kMaxCalls && ChangeAt(call, true)) ++call;
    EXPECT_GT(call, 100);
  });
}

TEST_F(PolledFaultsTest, ClockThatJumpsByAnHourBetweenAnyTwoTurnsLosesNothing) {
  ForEach([&] { JumpAtEveryTurn(); });
}

}  // namespace
}  // namespace confstream
