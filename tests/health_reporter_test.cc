#include "server/serve/health_reporter.h"

#include <grpcpp/health_check_service_interface.h>
#include <gtest/gtest.h>

#include "tests/fakes/snapshots.h"

namespace confstream {
namespace {

// What clients of the health service would be told.
class RecordingHealth final : public grpc::HealthCheckServiceInterface {
 public:
  void SetServingStatus(const std::string& service, bool serving) override {
    told_[service] = serving;
  }
  void SetServingStatus(bool serving) override {
    for (auto& [service, told] : told_) told = serving;
  }
  void Shutdown() override {
    SetServingStatus(false);
    shut_down_ = true;
  }

  bool Knows(const std::string& service) const { return told_.count(service) > 0; }
  bool Serving(const std::string& service) const { return Knows(service) && told_.at(service); }
  bool shut_down() const { return shut_down_; }

 private:
  std::map<std::string, bool> told_;
  bool shut_down_ = false;
};

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

  RecordingHealth health_;
  HealthReporter reporter_;
};

TEST_F(HealthReporterTest, SaysNothingBeforeItIsStarted) {
  Waits("app");
  Holds("app");
  EXPECT_FALSE(health_.Knows(""));
  EXPECT_FALSE(health_.Knows(kService));
}

TEST_F(HealthReporterTest, TellsWhatHappenedBeforeItWasStarted) {
  Waits("app");
  Waits("other", false);
  Holds("app");
  reporter_.Start(&health_);
  EXPECT_TRUE(health_.Serving(""));
  EXPECT_TRUE(health_.Serving(kService));
  EXPECT_TRUE(health_.Serving("source/app"));
  EXPECT_TRUE(health_.Knows("source/other"));
  EXPECT_FALSE(health_.Serving("source/other"));
}

TEST_F(HealthReporterTest, ServiceServesOnceEveryRequiredSourceHoldsContent) {
  Waits("one");
  Waits("two");
  Waits("optional", false);
  reporter_.Start(&health_);
  EXPECT_TRUE(health_.Serving("")) << "from ready on, whatever the sources";
  EXPECT_FALSE(health_.Serving(kService));
  Holds("one");
  EXPECT_FALSE(health_.Serving(kService));
  Holds("two");
  EXPECT_TRUE(health_.Serving(kService));
}

TEST_F(HealthReporterTest, ServerWithoutSourcesServes) {
  reporter_.Start(&health_);
  EXPECT_TRUE(health_.Serving(kService));
}

TEST_F(HealthReporterTest, RefusedContentDoesNotMakeASourceHoldOne) {
  Waits("app");
  reporter_.Start(&health_);
  reporter_.Update(RefusedState(nullptr, "x"));
  EXPECT_FALSE(health_.Serving(kService));
  EXPECT_FALSE(health_.Serving("source/app"));
}

TEST_F(HealthReporterTest, DegradedSourceTakesNothingAway) {
  Waits("app");
  reporter_.Start(&health_);
  Holds("app");
  reporter_.Update(RefusedState(MakeSnapshot(1, {{"a", "1"}}), "x"));
  EXPECT_TRUE(health_.Serving(kService));
  EXPECT_TRUE(health_.Serving("source/app"));
}

TEST_F(HealthReporterTest, SourceThatIsAddedLaterIsWaitedForAndOneThatIsRemovedIsNot) {
  Waits("app");
  reporter_.Start(&health_);
  Holds("app");
  Waits("late");
  EXPECT_FALSE(health_.Serving(kService));
  reporter_.RemoveSource("late");
  EXPECT_TRUE(health_.Serving(kService));
  EXPECT_FALSE(health_.Serving("source/late"));
}

TEST_F(HealthReporterTest, SourceMayBecomeRequiredAndNoLongerSo) {
  Holds("app");
  Waits("other", false);
  reporter_.Start(&health_);
  EXPECT_TRUE(health_.Serving(kService));
  Waits("other");
  EXPECT_FALSE(health_.Serving(kService)) << "it is required from now on";
  EXPECT_TRUE(health_.Serving("source/app"));
  Waits("other", false);
  EXPECT_TRUE(health_.Serving(kService));
}

TEST_F(HealthReporterTest, NothingServesOnceItDrains) {
  Waits("app");
  reporter_.Start(&health_);
  Holds("app");
  reporter_.Drain();
  EXPECT_TRUE(health_.shut_down());
  Holds("app");
  Waits("late", false);
  for (const char* service : {"", kService, "source/app", "source/late"}) {
    EXPECT_FALSE(health_.Serving(service)) << service;
  }
  reporter_.Drain();
}

}  // namespace
}  // namespace confstream
