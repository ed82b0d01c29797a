#include "server/publish/source_lane.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "server/base/error_reason.h"
#include "tests/publisher_fixture.h"

namespace confstream {
namespace {

using SourceLaneTest = PublisherTest;

TEST_F(SourceLaneTest, FirstValidContentIsVersionOneAndServed) {
  Write("a.yaml", "port: 80\n");
  Write("sub/b.json", "{}");
  EXPECT_EQ(Read(), ReadOutcome::kDone);
  const SourceState& now = state();
  EXPECT_EQ(now.status.condition, SourceCondition::kServing);
  EXPECT_EQ(now.status.verified_time, clock_.WallNow());
  EXPECT_EQ(now.status.since, clock_.WallNow());
  EXPECT_EQ(now.status.polling_reason, "");
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

TEST_F(SourceLaneTest, EqualContentIsNoNewVersionAndIsVerified) {
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

TEST_F(SourceLaneTest, OtherContentIsTheNextVersionOfTheSameEpoch) {
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

TEST_F(SourceLaneTest, InvalidFirstContentIsNotServedAndTheSourceWaits) {
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

TEST_F(SourceLaneTest, InvalidContentLeavesTheLastGoodServedUntilItIsMended) {
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

TEST_F(SourceLaneTest, LastGoodContentMountedAgainIsServedUnderItsVersion) {
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

TEST_F(SourceLaneTest, SourceThatDoesNotExistWaitsAndSaysWhere) {
  EXPECT_EQ(Read(), ReadOutcome::kDone);
  EXPECT_EQ(state().status.condition, SourceCondition::kWaiting);
  ASSERT_EQ(state().status.violations.size(), 1u);
  EXPECT_EQ(state().status.violations[0].rule, "source.missing");
  EXPECT_NE(state().status.violations[0].message.find("app"), std::string::npos);
}

TEST_F(SourceLaneTest, SourceThatVanishesKeepsItsLastGoodContent) {
  Write("a", "1");
  Read();
  const auto good = state().snapshot;
  std::filesystem::remove_all(directory_.Path("app"));
  EXPECT_EQ(Read(), ReadOutcome::kDone);
  EXPECT_EQ(state().snapshot, good);
  EXPECT_EQ(state().status.condition, SourceCondition::kDegraded);
  EXPECT_EQ(state().status.violations[0].rule, "source.missing");
}

TEST_F(SourceLaneTest, DirectoryWithoutFilesIsRefusedUnlessAllowed) {
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

TEST_F(SourceLaneTest, FileSystemThatRefusesIsToldAndAskedAgain) {
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

TEST_F(SourceLaneTest, RefusalIsLoggedAsViolationsAreWrittenEverywhere) {
  Write("a.yaml", "port: [80\n");
  Read();
  EXPECT_EQ(Logged("a.yaml:2:1: yaml.syntax: "), 1) << log_text_->str();
}

TEST_F(SourceLaneTest, NoMoreViolationsThanTheApiListsAreKeptAndAllAreCounted) {
  SourceConfig config = Config();
  config.limits.max_file_bytes = 1;
  publisher_.AddSource(config, no_schemas_, 2);
  for (int i = 0; i < 120; ++i) Write(absl::StrCat("file", i), "too long");
  Read(Request("app", 2));
  EXPECT_EQ(state().status.violations.size(), Validator::kMaxViolations);
  EXPECT_EQ(state().status.violations_total, 120);
}

// What is not for publishing.

TEST_F(SourceLaneTest, SourceThatLeadsElsewhereByNowIsAnsweredAndNotPublished) {
  WriteFile(directory_.Path("one/a"), "1");
  WriteFile(directory_.Path("two/a"), "2");
  MakeLink("one", directory_.Path("app"));
  const ReadRequest request = Request();
  SwapLink("two", directory_.Path("app"));
  EXPECT_EQ(Read(request), ReadOutcome::kMoved);
  EXPECT_TRUE(sink_.states().empty());
}

TEST_F(SourceLaneTest, ContentDuringWhoseReadingItWasNotQuietIsNotPublished) {
  Write("a.yaml", "port: 80\n");
  answers_.SetQuiet(false);
  EXPECT_EQ(Read(), ReadOutcome::kUnsettled);
  EXPECT_TRUE(sink_.states().empty());
}

TEST_F(SourceLaneTest, ContentDuringWhoseReadingItWasNotQuietIsNotRefusedEither) {
  Write("a.yaml", "port: [80\n");
  answers_.SetQuiet(false);
  EXPECT_EQ(Read(), ReadOutcome::kUnsettled);
  EXPECT_TRUE(sink_.states().empty());
}

TEST_F(SourceLaneTest, SourceThatIsNotWatchedByTheKernelIsSaidToBePolled) {
  Write("a", "1");
  ReadRequest request = Request();
  request.polled_because = "the limit is reached";
  request.cause = ReadCause::kForced;
  Read(request);
  EXPECT_EQ(state().status.polling_reason, "the limit is reached");
}

TEST_F(SourceLaneTest, DetachedMountIsSaidAndTakesNothingAway) {
  Write("a", "1");
  Read();
  ReadRequest request = Request();
  request.cause = ReadCause::kForced;
  const std::string id = std::to_string(*posix_.MountId(request.route->target_fd->get()));
  file_system_.mounts =
      MountTable::Parse(id + " 1 0:1 /v//deleted " + directory_.Path("app") + " rw - tmpfs t rw\n");
  Read(request);
  EXPECT_EQ(state().status.condition, SourceCondition::kDetached);
  EXPECT_EQ(state().status.violations[0].rule, "source.detached");
  EXPECT_EQ(state().snapshot->version, 1);
  file_system_.mounts.reset();
  Read();
  EXPECT_EQ(state().status.condition, SourceCondition::kServing);
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
  EXPECT_EQ(state().status.pin_end->reason, PinEnd::kNewContent);
}

TEST_F(RollbackTest, RepeatedRenewsThePinAndHoldsOffWhatItHeldOff) {
  SourceConfig config = Config();
  config.limits.max_nesting = 2;
  config.retention.max_age = absl::InfiniteDuration();  // the fake clock is not today's
  publisher_.AddSource(config, no_schemas_, 2);
  Write("deep.json", "[[[]]]");
  Read(Request("app", 2));
  ASSERT_TRUE(Rollback(1).ok()) << "holds off version 3, and the files, which are invalid";
  Write("deep.json", "[[[[]]]]");
  Read(Request("app", 2));
  clock_.Advance(absl::Seconds(10));
  RollbackOrder order;
  order.source = "app";
  order.version = 1;
  order.reason = "still bad";
  order.expire_after = absl::Hours(1);
  ASSERT_TRUE(publisher_.Rollback(order).ok());
  EXPECT_EQ(state().snapshot->version, 4) << "no new version";
  EXPECT_EQ(state().status.pin->reason, "still bad");
  EXPECT_EQ(state().status.pin->expire_time, clock_.WallNow() + absl::Hours(1));
  EXPECT_EQ(Logged("pin renewed"), 1);

  publisher_.AddSource(Config(), no_schemas_, 3);
  Write("deep.json", "[[[]]]");
  Read(Request("app", 3));
  EXPECT_EQ(Served(), "1");
  EXPECT_TRUE(state().status.pin.has_value()) << "the same files, though valid by other settings";
}

TEST_F(RollbackTest, RepeatedRenewsThePinThoughTheVersionIsNotRetainedAnyMore) {
  SourceConfig config = Config();
  config.retention.max_versions = 2;
  config.retention.max_age = absl::InfiniteDuration();
  publisher_.AddSource(config, no_schemas_, 2);
  ASSERT_TRUE(Rollback(2).ok());
  EXPECT_TRUE(Rollback(2, 4).ok());
  EXPECT_EQ(ReasonOf(Rollback(2, 3).status()), kVersionMismatch);
  EXPECT_EQ(ReasonOf(Rollback(1).status()), kVersionNotRetained);
}

TEST_F(RollbackTest, FilesThatAreHeldOffAreVerified) {
  ASSERT_TRUE(Rollback(1).ok());
  clock_.Advance(absl::Seconds(10));
  Read();
  EXPECT_EQ(state().status.verified_time, clock_.WallNow());
  clock_.Advance(absl::Seconds(10));
  Write("b.json", "{");
  Read();
  EXPECT_EQ(state().status.verified_time, clock_.WallNow() - absl::Seconds(10));
}

TEST_F(RollbackTest, IsLoggedAsARollbackOfTheVersionAndItsEndWithTheReason) {
  ASSERT_TRUE(Rollback(1).ok());
  EXPECT_EQ(Logged("origin=\"rollback of 1\""), 1);
  EXPECT_FALSE(state().status.pin_end.has_value());
  clock_.Advance(absl::Seconds(10));
  ASSERT_TRUE(publisher_.Unpin("app").ok());
  EXPECT_EQ(Logged("reason=\"an operator asked for it\""), 1);
  ASSERT_TRUE(state().status.pin_end.has_value());
  EXPECT_EQ(state().status.pin_end->reason, PinEnd::kUnpinned);
  EXPECT_EQ(state().status.pin_end->end_time, clock_.WallNow());
  EXPECT_EQ(state().status.pin_end->version, 1);
  publisher_.AddSource(Config(), no_schemas_, 2);
  Read(Request("app", 2));
  EXPECT_TRUE(state().status.pin_end.has_value()) << "other settings forget nothing";
  ASSERT_TRUE(Rollback(1).ok());
  EXPECT_FALSE(state().status.pin_end.has_value()) << "it is pinned again";
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
  EXPECT_NE(result.status().message().find("secret.txt: paths.excluded: "),
            absl::string_view::npos);
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
  EXPECT_EQ(state().status.pin_end->reason, PinEnd::kExpired);
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
  const std::string message(result.status().message());
  EXPECT_NE(message.find("deep.json:1:3: json.nesting: "), std::string::npos) << message;
  EXPECT_NE(message.find("roll back to another version"), std::string::npos) << message;
}

}  // namespace
}  // namespace confstream
