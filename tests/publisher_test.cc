#include "server/publish/publisher.h"

#include <gtest/gtest.h>
#include <spdlog/sinks/ostream_sink.h>

#include <chrono>
#include <filesystem>
#include <future>
#include <sstream>
#include <thread>

#include "absl/strings/str_cat.h"
#include "server/base/error_reason.h"
#include "tests/fakes/fake_clock.h"
#include "tests/fakes/files.h"
#include "tests/fakes/hooked_file_system.h"
#include "tests/fakes/recording_answers.h"
#include "tests/fakes/temporary_directory.h"

namespace confstream {
namespace {

// Keeps every state it is handed. Thread-safe.
class RecordingSink final : public SourceStateSink {
 public:
  void Update(std::shared_ptr<const SourceState> state) override {
    MutexLock lock(&mu_);
    // What a source is before its first reading has nothing to say of any.
    const bool announced = state->snapshot == nullptr && state->status.violations_total == 0;
    (announced ? announced_ : states_).push_back(std::move(state));
  }
  std::vector<std::shared_ptr<const SourceState>> announced() const {
    MutexLock lock(&mu_);
    return announced_;
  }
  std::vector<std::shared_ptr<const SourceState>> states(const std::string& source = "app") const {
    MutexLock lock(&mu_);
    std::vector<std::shared_ptr<const SourceState>> of_source;
    for (const auto& state : states_) {
      if (state->source == source) of_source.push_back(state);
    }
    return of_source;
  }

 private:
  mutable Mutex mu_;
  std::vector<std::shared_ptr<const SourceState>> states_ ABSL_GUARDED_BY(mu_);
  std::vector<std::shared_ptr<const SourceState>> announced_ ABSL_GUARDED_BY(mu_);
};

class PublisherTest : public testing::Test {
 protected:
  PublisherTest() {
    publisher_.SetAnswerSink(&answers_);
    publisher_.AddSource(Config(), no_schemas_, 1);
  }

  SourceConfig Config(const std::string& name = "app") const {
    SourceConfig config;
    config.name = name;
    config.path = directory_.Path(name);
    config.settle = absl::ZeroDuration();  // files that were written just now are at rest
    return config;
  }

  void Write(const std::string& path, const std::string& content) {
    WriteFile(directory_.Path("app/" + path), content);
  }

  // A request as the watch thread makes it once writing has stopped.
  ReadRequest Request(const std::string& source = "app", uint64_t incarnation = 1) {
    ReadRequest request;
    request.source = source;
    request.incarnation = incarnation;
    request.route = LinkResolver(&posix_).ResolveSource(directory_.Path(source), false);
    request.cause = ReadCause::kSettled;
    request.touched.AddAll();
    return request;
  }

  // Submits and waits for the answer.
  ReadOutcome Read(const ReadRequest& request) {
    const size_t before = answers_.count();
    publisher_.Submit(request);
    const ReadAnswer answer = answers_.Await(before + 1);
    EXPECT_EQ(answer.source, request.source);
    EXPECT_EQ(answer.incarnation, request.incarnation);
    return answer.outcome;
  }
  ReadOutcome Read() { return Read(Request()); }

  // What was handed over last.
  const SourceState& state() {
    states_ = sink_.states();
    EXPECT_FALSE(states_.empty());
    static const SourceState kNone;
    return states_.empty() ? kNone : *states_.back();
  }

  int Logged(const std::string& text) {
    int count = 0;
    const std::string log = log_text_.str();
    for (size_t at = log.find(text); at != std::string::npos; at = log.find(text, at + 1)) ++count;
    return count;
  }

  TemporaryDirectory directory_;
  FakeClock clock_;
  PosixFileSystem posix_;
  HookedFileSystem file_system_;
  RecordingSink sink_;
  RecordingAnswers answers_;
  std::ostringstream log_text_;
  Logger log_{LogFormat::kText, LogLevel::kDebug,
              std::make_shared<spdlog::sinks::ostream_sink_mt>(log_text_)};
  const std::shared_ptr<const SchemaSet> no_schemas_ = *SchemaSet::Load({});
  const std::unique_ptr<History> history_ = *History::Open("", &clock_, &log_);
  Publisher publisher_{{&clock_, &file_system_, {&sink_}, &log_}, history_.get(), 2};
  std::vector<std::shared_ptr<const SourceState>> states_;
};

TEST_F(PublisherTest, NewSourceIsAnnouncedWaitingInItsEpochBeforeItIsRead) {
  ASSERT_EQ(sink_.announced().size(), 1u);
  EXPECT_EQ(sink_.announced()[0]->source, "app");
  EXPECT_EQ(sink_.announced()[0]->status.condition, SourceCondition::kWaiting);
  EXPECT_EQ(sink_.announced()[0]->epoch.size(), 32u);
}

TEST_F(PublisherTest, FirstValidContentIsVersionOneAndServed) {
  Write("a.yaml", "port: 80\n");
  Write("sub/b.json", "{}");
  EXPECT_EQ(Read(), ReadOutcome::kDone);
  const SourceState& now = state();
  EXPECT_EQ(now.status.condition, SourceCondition::kServing);
  EXPECT_EQ(now.status.verified_time, clock_.WallNow());
  EXPECT_EQ(now.status.since, clock_.WallNow());
  EXPECT_EQ(now.status.change_detection, ChangeDetection::kInotify);
  ASSERT_NE(now.snapshot, nullptr);
  EXPECT_EQ(now.snapshot->version, 1);
  EXPECT_EQ(now.snapshot->epoch, now.epoch);
  EXPECT_EQ(now.snapshot->publish_time, clock_.WallNow());
  ASSERT_EQ(now.snapshot->files.size(), 2u);
  EXPECT_EQ(now.snapshot->files[0].path, "a.yaml");
  EXPECT_EQ(now.snapshot->files[0].content->bytes, "port: 80\n");
  EXPECT_EQ(now.snapshot->files[1].path, "sub/b.json");
  EXPECT_EQ(Logged("published"), 1);
}

TEST_F(PublisherTest, EqualContentIsNoNewVersionAndIsVerified) {
  Write("a", "1");
  Read();
  const auto first = state().snapshot;
  clock_.Advance(absl::Seconds(5));
  std::filesystem::remove(directory_.Path("app/a"));
  Write("a", "1");
  Read();
  EXPECT_EQ(state().snapshot, first);
  EXPECT_EQ(state().status.verified_time, clock_.WallNow());
  EXPECT_EQ(state().status.since, clock_.WallNow() - absl::Seconds(5));
  EXPECT_EQ(Logged("published"), 1);
}

TEST_F(PublisherTest, OtherContentIsTheNextVersionOfTheSameEpoch) {
  Write("a", "1");
  Read();
  const std::string epoch = state().epoch;
  Write("a", "2");
  Read();
  EXPECT_EQ(state().snapshot->version, 2);
  EXPECT_EQ(state().epoch, epoch);
  EXPECT_EQ(state().snapshot->files[0].content->bytes, "2");
  Write("a", "1");
  Read();
  EXPECT_EQ(state().snapshot->version, 3) << "old content again is a new version";
}

// Refusals.

TEST_F(PublisherTest, InvalidFirstContentIsNotServedAndTheSourceWaits) {
  Write("a.yaml", "port: 80\n  host: x\n");
  EXPECT_EQ(Read(), ReadOutcome::kDone);
  EXPECT_EQ(state().snapshot, nullptr);
  EXPECT_EQ(state().status.condition, SourceCondition::kWaiting);
  EXPECT_FALSE(state().status.verified_time.has_value());
  ASSERT_EQ(state().status.violations.size(), 1u);
  EXPECT_EQ(state().status.violations[0].path, "a.yaml");
  EXPECT_EQ(state().status.violations[0].rule, "yaml.syntax");
  EXPECT_EQ(state().status.violations_total, 1);
}

TEST_F(PublisherTest, InvalidContentLeavesTheLastGoodServedUntilItIsMended) {
  Write("a.yaml", "port: 80\n");
  Read();
  const auto good = state().snapshot;
  const absl::Time verified = clock_.WallNow();
  clock_.Advance(absl::Seconds(10));
  Write("a.yaml", "port: [80\n");
  Read();
  EXPECT_EQ(state().snapshot, good);
  EXPECT_EQ(state().status.condition, SourceCondition::kDegraded);
  EXPECT_EQ(state().status.since, clock_.WallNow());
  EXPECT_EQ(state().status.verified_time, verified) << "when it was last good";
  EXPECT_EQ(state().status.violations_total, 1);

  clock_.Advance(absl::Seconds(10));
  Read();
  EXPECT_EQ(state().status.since, clock_.WallNow() - absl::Seconds(10)) << "since it broke";
  EXPECT_EQ(Logged("refused"), 1) << "the same refusal is said once";

  Write("a.yaml", "port: 81\n");
  Read();
  EXPECT_EQ(state().status.condition, SourceCondition::kServing);
  EXPECT_TRUE(state().status.violations.empty());
  EXPECT_EQ(state().snapshot->version, 2) << "what was refused took no version";
  EXPECT_EQ(Logged("valid again"), 1);
}

TEST_F(PublisherTest, LastGoodContentMountedAgainIsServedUnderItsVersion) {
  Write("a.yaml", "port: 80\n");
  Read();
  const auto good = state().snapshot;
  Write("a.yaml", "port: [80\n");
  Read();
  Write("a.yaml", "port: 80\n");
  Read();
  EXPECT_EQ(state().status.condition, SourceCondition::kServing);
  EXPECT_EQ(state().snapshot, good);
}

TEST_F(PublisherTest, SourceThatDoesNotExistWaitsAndSaysWhere) {
  EXPECT_EQ(Read(), ReadOutcome::kDone);
  EXPECT_EQ(state().status.condition, SourceCondition::kWaiting);
  ASSERT_EQ(state().status.violations.size(), 1u);
  EXPECT_EQ(state().status.violations[0].rule, "source.missing");
  EXPECT_NE(state().status.violations[0].message.find("app"), std::string::npos);
}

TEST_F(PublisherTest, SourceThatVanishesKeepsItsLastGoodContent) {
  Write("a", "1");
  Read();
  const auto good = state().snapshot;
  std::filesystem::remove_all(directory_.Path("app"));
  EXPECT_EQ(Read(), ReadOutcome::kDone);
  EXPECT_EQ(state().snapshot, good);
  EXPECT_EQ(state().status.condition, SourceCondition::kDegraded);
  EXPECT_EQ(state().status.violations[0].rule, "source.missing");
}

TEST_F(PublisherTest, DirectoryWithoutFilesIsRefusedUnlessAllowed) {
  std::filesystem::create_directory(directory_.Path("app"));
  Read();
  EXPECT_EQ(state().snapshot, nullptr);
  EXPECT_EQ(state().status.violations[0].rule, "source.empty");
  SourceConfig config = Config();
  config.allow_empty = true;
  publisher_.AddSource(config, no_schemas_, 2);
  Read(Request("app", 2));
  ASSERT_NE(state().snapshot, nullptr);
  EXPECT_TRUE(state().snapshot->files.empty());
}

TEST_F(PublisherTest, FileSystemThatRefusesIsToldAndAskedAgain) {
  Write("a", "1");
  file_system_.before = [](HookedFileSystem::Call call, const std::string&) {
    return call == HookedFileSystem::kOpenForReading ? absl::PermissionDeniedError("not yours")
                                                     : absl::OkStatus();
  };
  EXPECT_EQ(Read(), ReadOutcome::kFailed);
  EXPECT_EQ(state().status.condition, SourceCondition::kWaiting);
  ASSERT_EQ(state().status.violations.size(), 1u);
  EXPECT_EQ(state().status.violations[0].rule, "source.unreadable");
  EXPECT_NE(state().status.violations[0].message.find("not yours"), std::string::npos);
}

TEST_F(PublisherTest, NoMoreViolationsThanTheApiListsAreKeptAndAllAreCounted) {
  SourceConfig config = Config();
  config.limits.max_file_bytes = 1;
  publisher_.AddSource(config, no_schemas_, 2);
  for (int i = 0; i < 120; ++i) Write(absl::StrCat("file", i), "too long");
  Read(Request("app", 2));
  EXPECT_EQ(state().status.violations.size(), Validator::kMaxViolations);
  EXPECT_EQ(state().status.violations_total, 120);
}

// What is not for publishing.

TEST_F(PublisherTest, SourceThatLeadsElsewhereByNowIsAnsweredAndNotPublished) {
  WriteFile(directory_.Path("one/a"), "1");
  WriteFile(directory_.Path("two/a"), "2");
  MakeLink("one", directory_.Path("app"));
  const ReadRequest request = Request();
  SwapLink("two", directory_.Path("app"));
  EXPECT_EQ(Read(request), ReadOutcome::kMoved);
  EXPECT_TRUE(sink_.states().empty());
}

TEST_F(PublisherTest, ContentDuringWhoseReadingItWasNotQuietIsNotPublished) {
  Write("a.yaml", "port: 80\n");
  answers_.SetQuiet(false);
  EXPECT_EQ(Read(), ReadOutcome::kUnsettled);
  EXPECT_TRUE(sink_.states().empty());
}

TEST_F(PublisherTest, ContentDuringWhoseReadingItWasNotQuietIsNotRefusedEither) {
  Write("a.yaml", "port: [80\n");
  answers_.SetQuiet(false);
  EXPECT_EQ(Read(), ReadOutcome::kUnsettled);
  EXPECT_TRUE(sink_.states().empty());
}

TEST_F(PublisherTest, SourceThatIsNotWatchedByTheKernelIsSaidToBePolled) {
  Write("a", "1");
  ReadRequest request = Request();
  request.watched = false;
  request.cause = ReadCause::kForced;
  Read(request);
  EXPECT_EQ(state().status.change_detection, ChangeDetection::kPolling);
}

// Settings.

TEST_F(PublisherTest, OtherSettingsKeepVersionsAndEpoch) {
  Write("a", "1");
  Write("b", "1");
  Read();
  const std::string epoch = state().epoch;
  SourceConfig config = Config();
  config.exclude = {*PathGlob::Parse("b")};
  publisher_.AddSource(config, no_schemas_, 2);
  EXPECT_EQ(Read(Request("app", 2)), ReadOutcome::kDone);
  EXPECT_EQ(state().epoch, epoch);
  EXPECT_EQ(state().snapshot->version, 2);
  EXPECT_EQ(state().snapshot->files.size(), 1u);
  // No setting brings content of before back as if it were new.
  publisher_.AddSource(config, no_schemas_, 3);
  Read(Request("app", 3));
  EXPECT_EQ(state().snapshot->version, 2);
}

TEST_F(PublisherTest, OtherSettingsKeepTheTimesOfTheStatus) {
  Write("a", "1");
  Read();
  const absl::Time since = clock_.WallNow();
  clock_.Advance(absl::Seconds(10));
  publisher_.AddSource(Config(), no_schemas_, 2);
  Read(Request("app", 2));
  EXPECT_EQ(state().status.since, since);
}

TEST_F(PublisherTest, RequestMadeUnderOldSettingsIsIgnored) {
  Write("a", "1");
  publisher_.AddSource(Config(), no_schemas_, 2);
  publisher_.Submit(Request("app", 1));
  Read(Request("app", 2));
  EXPECT_EQ(sink_.states().size(), 1u);
  EXPECT_EQ(answers_.count(), 1u);
}

TEST_F(PublisherTest, OtherSettingsWaitForTheReadingUnderWay) {
  Write("a", "1");
  answers_.Hold("app");
  publisher_.Submit(Request());
  ASSERT_TRUE(answers_.AwaitAsking());
  SourceConfig config = Config();
  config.exclude = {*PathGlob::Parse("nothing")};
  std::promise<void> changed;
  std::future<void> has_changed = changed.get_future();
  std::thread changing([&] {
    publisher_.AddSource(config, no_schemas_, 2);
    changed.set_value();
  });
  EXPECT_EQ(has_changed.wait_for(std::chrono::milliseconds(50)), std::future_status::timeout);
  answers_.Hold("");
  has_changed.wait();
  EXPECT_EQ(sink_.states().size(), 1u) << "the last word of the old settings came before";
  answers_.Await(1);
  changing.join();
  Write("a", "2");
  Read(Request("app", 2));
  EXPECT_EQ(state().snapshot->version, 2);
}

TEST_F(PublisherTest, RemovedSourceIgnoresRequestsThatWaitForAWorker) {
  const std::unique_ptr<History> history = *History::Open("", &clock_, &log_);
  Publisher publisher({&clock_, &file_system_, {&sink_}, &log_}, history.get(), 1);
  publisher.SetAnswerSink(&answers_);
  publisher.AddSource(Config(), no_schemas_, 1);
  publisher.AddSource(Config("slow"), no_schemas_, 1);
  Write("a", "1");
  WriteFile(directory_.Path("slow/a"), "1");
  answers_.Hold("slow");
  publisher.Submit(Request("slow"));
  ASSERT_TRUE(answers_.AwaitAsking());
  publisher.Submit(Request());
  publisher.RemoveSource("app");
  answers_.Hold("");
  EXPECT_EQ(answers_.Await(2).source, "app") << "who asked is answered all the same";
  EXPECT_TRUE(sink_.states("app").empty());
  EXPECT_EQ(sink_.states("slow").size(), 1u);
  publisher.Submit(Request());
  publisher.Stop();
  EXPECT_EQ(answers_.count(), 2u);
}

TEST_F(PublisherTest, NothingIsHeardOfASourceOnceItIsRemoved) {
  Write("a", "1");
  answers_.Hold("app");
  publisher_.Submit(Request());
  answers_.AwaitAsking();
  std::promise<size_t> removed;
  std::future<size_t> heard = removed.get_future();
  std::thread removing([&] {
    publisher_.RemoveSource("app");
    removed.set_value(sink_.states().size());
  });
  heard.wait_for(std::chrono::milliseconds(50));
  answers_.Hold("");
  answers_.Await(1);
  EXPECT_EQ(heard.get(), sink_.states().size());
  removing.join();
}

TEST_F(PublisherTest, SourceThatWasRemovedAndAddedAgainGoesOnInItsEpoch) {
  Write("a", "1");
  Read();
  const std::string epoch = state().epoch;
  publisher_.RemoveSource("app");
  Write("a", "2");
  publisher_.AddSource(Config(), no_schemas_, 2);
  EXPECT_EQ(state().status.violations[0].rule, "source.not_read");
  Read(Request("app", 2));
  EXPECT_EQ(state().epoch, epoch);
  EXPECT_EQ(state().snapshot->version, 2);
}

// Rollback.

class RollbackTest : public PublisherTest {
 protected:
  RollbackTest() {
    for (const char* content : {"1", "2", "3"}) {
      Write("a", content);
      Read();
    }
  }

  absl::StatusOr<ControlResult> Rollback(int64_t version, int64_t expected_version = 0) {
    RollbackOrder order;
    order.source = "app";
    order.version = version;
    order.expected_version = expected_version;
    order.reason = "3 is bad";
    return publisher_.Rollback(order);
  }
  std::string Served() { return state().snapshot->files[0].content->bytes; }
};

TEST_F(RollbackTest, PublishesOldContentAsANewVersionAndPins) {
  const auto result = Rollback(1, 3);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_FALSE(result->persisted) << "history is in memory";
  EXPECT_EQ(result->state, sink_.states().back());
  EXPECT_EQ(state().snapshot->version, 4);
  EXPECT_EQ(state().snapshot->origin, SnapshotOrigin::kRollback);
  EXPECT_EQ(state().snapshot->rolled_back_to, 1);
  EXPECT_EQ(Served(), "1");
  ASSERT_TRUE(state().status.pin.has_value());
  EXPECT_EQ(state().status.pin->version, 1);
  EXPECT_EQ(state().status.pin->reason, "3 is bad");
  EXPECT_EQ(state().status.pin->pin_time, clock_.WallNow());
  EXPECT_EQ(state().status.pin->expire_time, absl::InfiniteFuture());
  EXPECT_EQ(state().status.condition, SourceCondition::kServing);
  EXPECT_EQ(Logged("pinned_version=1"), 1);
}

TEST_F(RollbackTest, FilesAsTheyWereStayHeldOff) {
  ASSERT_TRUE(Rollback(1).ok());
  Read();
  EXPECT_EQ(Served(), "1");
  EXPECT_TRUE(state().status.pin.has_value());
}

TEST_F(RollbackTest, NewValidContentUnpins) {
  ASSERT_TRUE(Rollback(1).ok());
  Write("a", "4");
  Read();
  EXPECT_EQ(Served(), "4");
  EXPECT_EQ(state().snapshot->version, 5);
  EXPECT_EQ(state().snapshot->origin, SnapshotOrigin::kFiles);
  EXPECT_FALSE(state().status.pin.has_value());
}

TEST_F(RollbackTest, FilesThatGetThePinnedContentUnpinWithoutANewVersion) {
  ASSERT_TRUE(Rollback(1).ok());
  Write("a", "1");
  Read();
  EXPECT_EQ(state().snapshot->version, 4);
  EXPECT_FALSE(state().status.pin.has_value());
}

TEST_F(RollbackTest, InvalidNewContentDegradesAndDoesNotUnpin) {
  ASSERT_TRUE(Rollback(1).ok());
  Write("b.json", "{");
  Read();
  EXPECT_EQ(Served(), "1");
  EXPECT_TRUE(state().status.pin.has_value());
  EXPECT_EQ(state().status.condition, SourceCondition::kDegraded);
}

TEST_F(RollbackTest, WhileTheFilesAreInvalidHoldsOffBothThemAndWhatWasReplaced) {
  Write("b.json", "{");
  Read();
  ASSERT_TRUE(Rollback(1).ok());
  std::filesystem::remove(directory_.Path("app/b.json"));
  Read();
  EXPECT_EQ(Served(), "1") << "the content that the rollback replaced is no news";
  EXPECT_TRUE(state().status.pin.has_value());
}

TEST_F(RollbackTest, UnpinPublishesWhatIsMounted) {
  ASSERT_TRUE(Rollback(1).ok());
  const auto result = publisher_.Unpin("app");
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(Served(), "3");
  EXPECT_EQ(state().snapshot->version, 5);
  EXPECT_FALSE(state().status.pin.has_value());
  EXPECT_EQ(ReasonOf(publisher_.Unpin("app").status()), kNotPinned);
}

TEST_F(RollbackTest, UnpinWhileTheFilesAreGoneDegrades) {
  ASSERT_TRUE(Rollback(1).ok());
  std::filesystem::remove_all(directory_.Path("app"));
  Read();
  ASSERT_TRUE(publisher_.Unpin("app").ok());
  EXPECT_EQ(Served(), "1");
  EXPECT_EQ(state().status.condition, SourceCondition::kDegraded);
  EXPECT_EQ(state().status.violations[0].rule, "source.missing");
  EXPECT_FALSE(state().status.pin.has_value());
}

TEST_F(RollbackTest, RollingBackTwiceHoldsTheSecond) {
  ASSERT_TRUE(Rollback(1).ok());
  ASSERT_TRUE(Rollback(2, 4).ok());
  Read();
  EXPECT_EQ(Served(), "2");
  EXPECT_EQ(state().status.pin->version, 2);
  ASSERT_TRUE(publisher_.Unpin("app").ok());
  EXPECT_EQ(Served(), "3");
}

TEST_F(RollbackTest, RollingBackAgainStillHoldsOffWhatTheFirstReplaced) {
  ASSERT_TRUE(Rollback(1).ok());
  std::filesystem::remove_all(directory_.Path("app"));
  Read();
  ASSERT_TRUE(Rollback(1).ok());
  Write("a", "3");
  Read();
  EXPECT_EQ(Served(), "1") << "the same content is mounted again";
  EXPECT_TRUE(state().status.pin.has_value());
  Write("a", "1");
  Read();
  EXPECT_FALSE(state().status.pin.has_value()) << "the pinned content itself is other content";
}

TEST_F(RollbackTest, ToFilesThatTodaysSettingsLeaveOutIsRefused) {
  Write("secret.txt", "1");
  Read();
  SourceConfig config = Config();
  config.exclude = {*PathGlob::Parse("secret.txt")};
  publisher_.AddSource(config, no_schemas_, 2);
  Read(Request("app", 2));
  const auto result = Rollback(4);
  EXPECT_EQ(ReasonOf(result.status()), kInvalidContent);
  EXPECT_NE(result.status().message().find("secret.txt"), absl::string_view::npos);
}

TEST_F(RollbackTest, SourceThatBecomesSensitiveKeepsContentAndPin) {
  ASSERT_TRUE(Rollback(1).ok());
  SourceConfig config = Config();
  config.sensitive = true;
  publisher_.AddSource(config, no_schemas_, 2);
  Read(Request("app", 2));
  EXPECT_EQ(Served(), "1");
  EXPECT_TRUE(state().status.pin.has_value());
  EXPECT_TRUE(state().sensitive);
  ASSERT_TRUE(publisher_.Unpin("app").ok());
  EXPECT_EQ(Served(), "3");
}

TEST_F(RollbackTest, ToTheCurrentContentPinsWithoutANewVersion) {
  ASSERT_TRUE(Rollback(3).ok());
  EXPECT_EQ(state().snapshot->version, 3);
  EXPECT_TRUE(state().status.pin.has_value());
}

TEST_F(RollbackTest, ExpiredPinPublishesWhatIsMountedAtTheNextReading) {
  RollbackOrder order;
  order.source = "app";
  order.version = 1;
  order.expire_after = absl::Hours(1);
  ASSERT_TRUE(publisher_.Rollback(order).ok());
  EXPECT_EQ(state().status.pin->expire_time, clock_.WallNow() + absl::Hours(1));
  clock_.Advance(absl::Hours(1));
  Read();
  EXPECT_EQ(Served(), "3");
  EXPECT_FALSE(state().status.pin.has_value());
}

TEST_F(RollbackTest, IsRefusedWithItsReasonAndChangesNothing) {
  const size_t told = sink_.states().size();
  EXPECT_EQ(Rollback(1, 2).status().code(), absl::StatusCode::kAborted);
  EXPECT_EQ(ReasonOf(Rollback(1, 2).status()), kVersionMismatch);
  EXPECT_EQ(ReasonOf(Rollback(9).status()), kVersionNotRetained);
  RollbackOrder order;
  order.source = "nobody";
  order.version = 1;
  EXPECT_EQ(ReasonOf(publisher_.Rollback(order).status()), kSourceNotFound);
  EXPECT_EQ(sink_.states().size(), told);
}

TEST_F(RollbackTest, ToContentThatBreaksTodaysRulesIsRefusedAndNamesOne) {
  Write("deep.json", "[[[]]]");
  Read();
  SourceConfig config = Config();
  config.limits.max_nesting = 2;
  publisher_.AddSource(config, no_schemas_, 2);
  std::filesystem::remove(directory_.Path("app/deep.json"));
  Read(Request("app", 2));
  const auto result = Rollback(4);
  EXPECT_EQ(result.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(ReasonOf(result.status()), kInvalidContent);
  EXPECT_NE(result.status().message().find("deep.json"), absl::string_view::npos);
}

// Operators' other calls.

TEST_F(PublisherTest, ReloadAnswersAfterAReadingThatBeganAfterIt) {
  Write("a", "1");
  Read();
  Write("a", "2");
  std::promise<absl::StatusOr<std::shared_ptr<const SourceState>>> answered;
  auto answer = answered.get_future();
  std::thread asking(
      [&] { answered.set_value(publisher_.Reload("app", absl::InfiniteDuration())); });
  ASSERT_TRUE(answers_.AwaitAskedFor("app"));
  EXPECT_EQ(answer.wait_for(std::chrono::milliseconds(50)), std::future_status::timeout);
  Read();
  const auto state = answer.get();
  asking.join();
  ASSERT_TRUE(state.ok()) << state.status();
  EXPECT_EQ((*state)->snapshot->version, 2);
}

TEST_F(PublisherTest, ReloadEndsWithItsPatienceOrTheServer) {
  EXPECT_EQ(publisher_.Reload("app", absl::ZeroDuration()).status().code(),
            absl::StatusCode::kDeadlineExceeded);
  publisher_.EndWaits();
  EXPECT_EQ(publisher_.Reload("app", absl::InfiniteDuration()).status().code(),
            absl::StatusCode::kUnavailable);
}

TEST_F(PublisherTest, DryRunTellsWhatTheRulesSayAndPublishesNothing) {
  Generation files;
  const std::string bytes = "{";
  files.files.push_back(
      {"a.json", std::make_shared<const FileContent>(FileContent{bytes, Sha256::Of(bytes)})});
  const auto result = publisher_.DryRun("app", files);
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->total, 1);
  ASSERT_EQ(result->violations.size(), 1u);
  EXPECT_EQ(result->violations[0].rule, "json.syntax");
  EXPECT_TRUE(sink_.states().empty());
}

// Workers.

TEST_F(PublisherTest, SlowSourceDelaysNoOther) {
  publisher_.AddSource(Config("slow"), no_schemas_, 1);
  WriteFile(directory_.Path("slow/a"), "1");
  Write("a", "1");
  answers_.Hold("slow");
  publisher_.Submit(Request("slow"));
  ASSERT_TRUE(answers_.AwaitAsking());
  EXPECT_EQ(Read(), ReadOutcome::kDone);
  EXPECT_EQ(state().snapshot->version, 1);
  EXPECT_TRUE(sink_.states("slow").empty());
  answers_.Hold("");
}

TEST_F(PublisherTest, StopWaitsForAReadingThatAsksTheWatchThreadAndNothingIsReadAfterIt) {
  Write("a", "1");
  answers_.Hold("app");
  publisher_.Submit(Request());
  ASSERT_TRUE(answers_.AwaitAsking());
  // The watch thread has stopped: it answers no, and lets go.
  answers_.SetQuiet(false);
  std::thread stopping([this] { answers_.Hold(""); });
  publisher_.Stop();
  stopping.join();
  EXPECT_EQ(answers_.Await(1).outcome, ReadOutcome::kUnsettled);
  EXPECT_TRUE(sink_.states().empty());
  answers_.SetQuiet(true);
  publisher_.Submit(Request());
  publisher_.Stop();
  EXPECT_EQ(answers_.count(), 1u);
}

class FirstReadingsTest : public PublisherTest {
 protected:
  FirstReadingsTest() {
    on_real_clock_.SetAnswerSink(&answers_);
    on_real_clock_.AddSource(Config(), no_schemas_, 1);
    Write("a", "1");
  }
  ~FirstReadingsTest() override { on_real_clock_.Stop(); }

  SystemClock system_clock_;
  const std::unique_ptr<History> other_history_ = *History::Open("", &system_clock_, &log_);
  Publisher on_real_clock_{
      {&system_clock_, &file_system_, {&sink_}, &log_}, other_history_.get(), 1};
};

TEST_F(FirstReadingsTest, AreAwaitedNoLongerThanAsked) {
  EXPECT_FALSE(on_real_clock_.AwaitFirstReadings(absl::Milliseconds(10)));
}

TEST_F(FirstReadingsTest, AreThereOnceEverySourceWasReadWhateverCameOfIt) {
  on_real_clock_.AddSource(Config("missing"), no_schemas_, 1);
  on_real_clock_.Submit(Request());
  EXPECT_FALSE(on_real_clock_.AwaitFirstReadings(absl::Milliseconds(10)));
  on_real_clock_.Submit(Request("missing"));
  EXPECT_TRUE(on_real_clock_.AwaitFirstReadings(absl::Seconds(30)));
}

TEST_F(FirstReadingsTest, AreThereOnceTheOnlySourceNotReadIsRemoved) {
  on_real_clock_.AddSource(Config("missing"), no_schemas_, 1);
  on_real_clock_.Submit(Request());
  answers_.Await(1);
  std::promise<bool> outcome;
  std::future<bool> all = outcome.get_future();
  std::thread waiting(
      [&] { outcome.set_value(on_real_clock_.AwaitFirstReadings(absl::Minutes(4))); });
  EXPECT_EQ(all.wait_for(std::chrono::milliseconds(50)), std::future_status::timeout);
  on_real_clock_.RemoveSource("missing");
  EXPECT_EQ(all.wait_for(std::chrono::seconds(30)), std::future_status::ready);
  EXPECT_TRUE(all.get());
  waiting.join();
}

TEST_F(FirstReadingsTest, ContentThatHasToSettleFirstIsNone) {
  answers_.SetQuiet(false);
  on_real_clock_.Submit(Request());
  EXPECT_EQ(answers_.Await(1).outcome, ReadOutcome::kUnsettled);
  EXPECT_FALSE(on_real_clock_.AwaitFirstReadings(absl::Milliseconds(10)));
  answers_.SetQuiet(true);
  on_real_clock_.Submit(Request());
  EXPECT_TRUE(on_real_clock_.AwaitFirstReadings(absl::Seconds(30)));
}

TEST_F(FirstReadingsTest, ReadingThatFoundTheSourceElsewhereIsNone) {
  WriteFile(directory_.Path("one/a"), "1");
  std::filesystem::remove_all(directory_.Path("app"));
  MakeLink("one", directory_.Path("app"));
  const ReadRequest request = Request();
  SwapLink("app2", directory_.Path("app"));
  on_real_clock_.Submit(request);
  EXPECT_EQ(answers_.Await(1).outcome, ReadOutcome::kMoved);
  EXPECT_FALSE(on_real_clock_.AwaitFirstReadings(absl::Milliseconds(10)));
}

}  // namespace
}  // namespace confstream
