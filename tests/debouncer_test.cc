#include "server/watch/debouncer.h"

#include <gtest/gtest.h>

namespace confstream {
namespace {

constexpr absl::Duration kSettle = absl::Milliseconds(500);
constexpr absl::Duration kMaxDelay = absl::Seconds(5);

Instant At(int ms) { return Instant::FromSinceBoot(absl::Milliseconds(ms)); }

class DebouncerTest : public testing::Test {
 protected:
  Debouncer debouncer_{kSettle, kMaxDelay};
};

TEST_F(DebouncerTest, NothingIsDueWithoutAChange) { EXPECT_FALSE(debouncer_.Next().has_value()); }

TEST_F(DebouncerTest, CommitIsDueAtOnceAndBeforeWhatSettles) {
  debouncer_.NoteChange(At(1000));
  debouncer_.NoteCommit({"/v", "..data"});
  const auto due = debouncer_.Next();
  ASSERT_TRUE(due.has_value());
  EXPECT_EQ(due->cause, ReadCause::kCommit);
  EXPECT_LE(due->when, At(0));
  EXPECT_EQ(due->commit->name, "..data");
  debouncer_.ReadingBegins();
  EXPECT_FALSE(debouncer_.Next().has_value());  // the commit reading took the change with it
}

TEST_F(DebouncerTest, ChangesSettleAfterTheLastOne) {
  debouncer_.NoteChange(At(1000));
  debouncer_.NoteChange(At(1300));
  const auto due = debouncer_.Next();
  EXPECT_EQ(due->cause, ReadCause::kSettled);
  EXPECT_EQ(due->when, At(1800));
}

TEST_F(DebouncerTest, ChangesThatNeverStopAreForcedAtMaxDelay) {
  for (int ms = 1000; ms <= 7000; ms += 250) debouncer_.NoteChange(At(ms));
  const auto due = debouncer_.Next();
  EXPECT_EQ(due->cause, ReadCause::kForced);
  EXPECT_EQ(due->when, At(6000));
}

TEST_F(DebouncerTest, FileThatIsStillOpenIsWaitedForUpToMaxDelay) {
  debouncer_.NoteWriting("1/a", At(1000));
  EXPECT_EQ(debouncer_.Next()->cause, ReadCause::kForced);
  EXPECT_EQ(debouncer_.Next()->when, At(6000));
  debouncer_.NoteClosed("1/a");
  debouncer_.NoteChange(At(2000));
  EXPECT_EQ(debouncer_.Next()->cause, ReadCause::kSettled);
  EXPECT_EQ(debouncer_.Next()->when, At(2500));
}

TEST_F(DebouncerTest, FileLeftOpenAtMaxDelayDoesNotDelayTheNextChange) {
  debouncer_.NoteWriting("1/a", At(1000));
  debouncer_.ReadingBegins();
  debouncer_.ReadingEnds();
  debouncer_.NoteChange(At(7000));
  EXPECT_EQ(debouncer_.Next()->cause, ReadCause::kSettled);
  EXPECT_EQ(debouncer_.Next()->when, At(7500));
}

TEST_F(DebouncerTest, ChangeDuringAReadingAsksForAnotherPass) {
  debouncer_.NoteChange(At(1000));
  debouncer_.ReadingBegins();
  debouncer_.NoteChange(At(1600));
  debouncer_.ReadingEnds();
  EXPECT_EQ(debouncer_.Next()->when, At(2100));
}

TEST_F(DebouncerTest, UnsettledReadingSettlesAgainWithinTheFirstMaxDelay) {
  debouncer_.NoteChange(At(1000));
  debouncer_.ReadingBegins();
  debouncer_.ReadingWasUnsettled(At(5900));
  EXPECT_EQ(debouncer_.Next()->cause, ReadCause::kForced);
  EXPECT_EQ(debouncer_.Next()->when, At(6000));
}

TEST_F(DebouncerTest, ForcedReadingThatWasUnsettledIsForcedAgainAfterAPause) {
  debouncer_.NoteChange(At(1000));
  debouncer_.NoteWriting("a", At(5900));
  debouncer_.ReadingBegins();
  debouncer_.NoteWriting("a", At(6100));
  debouncer_.ReadingWasUnsettled(At(6200));
  EXPECT_EQ(debouncer_.Next()->cause, ReadCause::kForced);
  EXPECT_EQ(debouncer_.Next()->when, At(6700));
}

TEST_F(DebouncerTest, UnsettledCommitSettles) {
  debouncer_.NoteCommit({"/v", "current"});
  debouncer_.ReadingBegins();
  debouncer_.ReadingWasUnsettled(At(1000));
  EXPECT_EQ(debouncer_.Next()->cause, ReadCause::kSettled);
  EXPECT_EQ(debouncer_.Next()->when, At(1500));
}

TEST_F(DebouncerTest, VoidReadingIsDueAgainAsItWas) {
  debouncer_.NoteCommit({"/v", "..data"});
  debouncer_.ReadingBegins();
  debouncer_.ReadingWasVoid(At(1000));
  ASSERT_TRUE(debouncer_.Next().has_value());
  EXPECT_EQ(debouncer_.Next()->cause, ReadCause::kCommit);

  Debouncer settling{kSettle, kMaxDelay};
  settling.NoteChange(At(1000));
  settling.ReadingBegins();
  settling.ReadingWasVoid(At(1700));
  EXPECT_EQ(settling.Next()->cause, ReadCause::kSettled);
  EXPECT_EQ(settling.Next()->when, At(1500));
}

TEST_F(DebouncerTest, RecheckGivesWayToAChange) {
  debouncer_.NoteRecheck();
  EXPECT_EQ(debouncer_.Next()->cause, ReadCause::kRecheck);
  debouncer_.NoteChange(At(1000));
  EXPECT_EQ(debouncer_.Next()->cause, ReadCause::kSettled);
}

}  // namespace
}  // namespace confstream
