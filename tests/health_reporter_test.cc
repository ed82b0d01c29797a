#include "server/serve/health_reporter.h"

#include <gtest/gtest.h>

#include "tests/fakes/counting_subscriber.h"
#include "tests/fakes/lane_thread.h"
#include "tests/fakes/snapshots.h"

namespace confstream {
namespace {

constexpr char kService[] = "confstream.v1.ConfigService";

class HealthReporterTest : public testing::Test {
 protected:
  void Waits(const std::string& source, bool required = true) {
    auto state = WaitingState(source);
    state->required = required;
    reporter_.Update(state);
  }
  void Holds(const std::string& source, bool required = true) {
    auto state = ServingState(MakeSnapshot(1, {{"a", "1"}}, source));
    state->required = required;
    reporter_.Update(state);
  }
  bool Knows(const std::string& service) const {
    return reporter_.Of(service) != HealthReporter::Health::kUnknownService;
  }
  bool Serving(const std::string& service) const {
    return reporter_.Of(service) == HealthReporter::Health::kServing;
  }

  HealthReporter reporter_;
};

TEST_F(HealthReporterTest, OnlyWhatThereIsIsKnown) {
  Waits("app");
  EXPECT_TRUE(Knows(""));
  EXPECT_TRUE(Knows(kService));
  EXPECT_TRUE(Knows("source/app"));
  for (const char* service : {"app", "source/", "source/other", "confstream.v1", "/"}) {
    EXPECT_FALSE(Knows(service)) << service;
  }
}

TEST_F(HealthReporterTest, ServiceServesOnceEveryRequiredSourceHoldsContent) {
  Waits("one");
  Waits("two");
  Waits("optional", false);
  EXPECT_TRUE(Serving("")) << "from ready on, whatever the sources";
  EXPECT_FALSE(Serving(kService));
  Holds("one");
  EXPECT_FALSE(Serving(kService));
  Holds("two");
  EXPECT_TRUE(Serving(kService));
  EXPECT_FALSE(Serving("source/optional"));
}

TEST_F(HealthReporterTest, ServerWithoutSourcesServes) { EXPECT_TRUE(Serving(kService)); }

TEST_F(HealthReporterTest, RefusedContentDoesNotMakeASourceHoldOne) {
  Waits("app");
  reporter_.Update(RefusedState(nullptr, "x"));
  EXPECT_FALSE(Serving(kService));
  EXPECT_FALSE(Serving("source/app"));
}

TEST_F(HealthReporterTest, DegradedSourceTakesNothingAway) {
  Waits("app");
  Holds("app");
  reporter_.Update(RefusedState(MakeSnapshot(1, {{"a", "1"}}), "x"));
  EXPECT_TRUE(Serving(kService));
  EXPECT_TRUE(Serving("source/app"));
}

TEST_F(HealthReporterTest, SourceThatIsAddedLaterIsWaitedForAndOneThatIsRemovedIsNot) {
  Holds("app");
  Waits("late");
  EXPECT_FALSE(Serving(kService));
  reporter_.RemoveSource("late");
  EXPECT_TRUE(Serving(kService));
  EXPECT_TRUE(Knows("source/late")) << "whoever watches it is told";
  EXPECT_FALSE(Serving("source/late"));
  Waits("late");
  EXPECT_FALSE(Serving(kService)) << "it is back";
}

TEST_F(HealthReporterTest, SourceMayBecomeRequiredAndNoLongerSo) {
  Holds("app");
  Waits("other", false);
  EXPECT_TRUE(Serving(kService));
  Waits("other");
  EXPECT_FALSE(Serving(kService)) << "it is required from now on";
  EXPECT_TRUE(Serving("source/app"));
  Waits("other", false);
  EXPECT_TRUE(Serving(kService));
}

TEST_F(HealthReporterTest, NothingServesOnceItDrains) {
  Holds("app");
  EXPECT_FALSE(reporter_.draining());
  reporter_.Drain();
  EXPECT_TRUE(reporter_.draining());
  Holds("late", false);
  for (const char* service : {"", kService, "source/app", "source/late"}) {
    EXPECT_TRUE(Knows(service)) << service;
    EXPECT_FALSE(Serving(service)) << service;
  }
}

TEST_F(HealthReporterTest, SubscribersAreWokenByWhatChangesHealthAndByNothingElse) {
  const auto subscriber = std::make_shared<CountingSubscriber>();
  const auto gone = std::make_shared<CountingSubscriber>();
  reporter_.audience().Subscribe(subscriber);
  reporter_.audience().Subscribe(gone);
  reporter_.audience().Subscribe(std::make_shared<CountingSubscriber>());  // it does not live
  reporter_.audience().Unsubscribe(gone.get());
  Waits("app");
  TestLane().Settle();
  EXPECT_EQ(subscriber->wakes(), 1);
  Waits("app");
  TestLane().Settle();
  EXPECT_EQ(subscriber->wakes(), 1) << "nothing has changed";
  Holds("app");
  TestLane().Settle();
  EXPECT_EQ(subscriber->wakes(), 2);
  reporter_.RemoveSource("app");
  reporter_.RemoveSource("app");
  TestLane().Settle();
  EXPECT_EQ(subscriber->wakes(), 3);
  reporter_.Drain();
  TestLane().Settle();
  EXPECT_EQ(subscriber->wakes(), 4);
  EXPECT_EQ(gone->wakes(), 0);
}

}  // namespace
}  // namespace confstream
