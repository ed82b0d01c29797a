#include "server/watch/plan_pacer.h"

#include <gtest/gtest.h>

namespace confstream {
namespace {

const Instant kStart = Instant::FromSinceBoot(absl::Hours(1));

TEST(PlanPacerTest, NothingIsWaitedForWhileThereIsCredit) {
  PlanPacer pacer;
  Instant now = kStart;
  for (int i = 0; i < 10; ++i) {
    pacer.NotePlan(now, absl::Milliseconds(10));
    now = now + absl::Milliseconds(10);
    EXPECT_EQ(pacer.NextForTree(now), now);
    EXPECT_EQ(pacer.NextForRoute(now), now);
  }
}

// How long is planned within ten minutes if each plan takes 100 ms and the next follows as soon as
// `next` allows.
absl::Duration Planned(Instant (PlanPacer::*next)(Instant) const) {
  PlanPacer pacer;
  Instant now = kStart;
  absl::Duration planned;
  while (now < kStart + absl::Minutes(10)) {
    pacer.NotePlan(now, absl::Milliseconds(100));
    planned += absl::Milliseconds(100);
    now = (pacer.*next)(now + absl::Milliseconds(100));
  }
  return planned;
}

TEST(PlanPacerTest, TreeThatNeverRestsTakesATenthOfTheTime) {
  EXPECT_GT(Planned(&PlanPacer::NextForTree), absl::Seconds(59));
  EXPECT_LT(Planned(&PlanPacer::NextForTree), absl::Seconds(62));
}

TEST(PlanPacerTest, RouteThatNeverRestsTakesHalfOfTheTime) {
  EXPECT_GT(Planned(&PlanPacer::NextForRoute), absl::Seconds(299));
  EXPECT_LT(Planned(&PlanPacer::NextForRoute), absl::Seconds(302));
}

TEST(PlanPacerTest, CreditComesBackInTime) {
  PlanPacer pacer;
  for (int i = 0; i < 100; ++i) pacer.NotePlan(kStart, absl::Milliseconds(100));
  EXPECT_GT(pacer.NextForTree(kStart), kStart + absl::Seconds(4));
  const Instant later = kStart + absl::Seconds(7);
  EXPECT_EQ(pacer.NextForTree(later), later);
}

TEST(PlanPacerTest, NoPauseIsLongerThanFiveSecondsWhateverCameBefore) {
  PlanPacer pacer;
  Instant now = kStart;
  for (int i = 0; i < 1000; ++i) {
    pacer.NotePlan(now, absl::Milliseconds(50));
    now = now + absl::Milliseconds(50);
  }
  EXPECT_EQ(pacer.NextForTree(now), now + absl::Seconds(5));
  pacer.NotePlan(now, absl::Minutes(1));  // the process was stopped meanwhile
  now = now + absl::Minutes(1);
  EXPECT_EQ(pacer.NextForTree(now), now + absl::Seconds(5));
  EXPECT_LE(pacer.NextForRoute(now), now + absl::Seconds(5));
}

}  // namespace
}  // namespace confstream
