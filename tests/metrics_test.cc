#include "server/serve/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <prometheus/metric_type.h>

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "server/base/clock.h"
#include "server/fanout/watch_hub.h"
#include "tests/fakes/counting_subscriber.h"
#include "tests/fakes/snapshots.h"

namespace confstream {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

using Labels = std::map<std::string, std::string>;

class MetricsTest : public testing::Test {
 protected:
  prometheus::MetricFamily Family(const std::string& name) const {
    for (prometheus::MetricFamily& family : metrics_.Collect()) {
      if (family.name == name) return std::move(family);
    }
    ADD_FAILURE() << "no family " << name;
    return {};
  }

  // The figures of a family, by their labels.
  std::map<Labels, double> Figures(const std::string& name) const {
    std::map<Labels, double> figures;
    const prometheus::MetricFamily family = Family(name);
    for (const prometheus::ClientMetric& metric : family.metric) {
      Labels labels;
      for (const auto& label : metric.label) labels[label.name] = label.value;
      const bool counts = family.type == prometheus::MetricType::Counter;
      const bool inserted =
          figures.emplace(labels, counts ? metric.counter.value : metric.gauge.value).second;
      EXPECT_TRUE(inserted) << name << " has the same labels twice";
    }
    return figures;
  }

  // The figure of `source` in confstream_source_NAME; unset: left out.
  std::optional<double> Of(const std::string& source, const std::string& name) const {
    const auto figures = Figures("confstream_source_" + name);
    const auto found = figures.find({{"source", source}});
    if (found == figures.end()) return std::nullopt;
    return found->second;
  }

  std::map<std::string, double> States(const std::string& source) const {
    std::map<std::string, double> states;
    for (const auto& [labels, value] : Figures("confstream_source_state")) {
      if (labels.at("source") == source) states[labels.at("state")] = value;
    }
    return states;
  }

  const SystemClock clock_{};
  WatchHub hub_{&clock_, {100, 100, 1 << 20}};
  std::map<std::string, int64_t> rescans_;
  ConfigReloads reloads_{absl::FromUnixSeconds(100)};
  const Metrics metrics_{&hub_, &reloads_, [this] { return rescans_; }};
};

TEST_F(MetricsTest, EveryFamilyIsThereOnceWithItsHelpEvenWithoutASource) {
  std::set<std::string> names;
  for (const prometheus::MetricFamily& family : metrics_.Collect()) {
    EXPECT_TRUE(names.insert(family.name).second) << family.name;
    EXPECT_TRUE(absl::StartsWith(family.name, "confstream_")) << family.name;
    EXPECT_FALSE(family.help.empty()) << family.name;
    EXPECT_EQ(family.type == prometheus::MetricType::Counter, absl::EndsWith(family.name, "_total"))
        << family.name;
    if (absl::StartsWith(family.name, "confstream_source_")) {
      EXPECT_THAT(family.metric, IsEmpty()) << family.name;
    }
  }
  EXPECT_EQ(names.size(), 15u);
}

TEST_F(MetricsTest, SourceIsInOneStateAndNotInTheOthers) {
  const std::pair<SourceCondition, std::string> conditions[] = {
      {SourceCondition::kServing, "SERVING"}, {SourceCondition::kDegraded, "DEGRADED"},
      {SourceCondition::kWaiting, "WAITING"}, {SourceCondition::kDetached, "DETACHED"},
      {SourceCondition::kStalled, "STALLED"},
  };
  for (const auto& [condition, name] : conditions) {
    auto state = WaitingState();
    state->status.condition = condition;
    hub_.Update(state);
    std::map<std::string, double> expected;
    for (const auto& other : conditions) expected[other.second] = 0;
    expected[name] = 1;
    EXPECT_EQ(States("app"), expected);
  }
}

TEST_F(MetricsTest, SourceThatServesNothingHasNeitherVersionNorTimesNorSizes) {
  hub_.Update(WaitingState());
  for (const char* name :
       {"version", "publish_time_seconds", "verified_time_seconds", "files", "size_bytes"}) {
    EXPECT_EQ(Of("app", name), std::nullopt) << name;
  }
  for (const char* name :
       {"violations", "polling", "pinned", "schemas_failing", "history_failing"}) {
    EXPECT_EQ(Of("app", name), 0) << name;
  }
}

TEST_F(MetricsTest, VersionTimesAndSizesAreThoseOfWhatIsServed) {
  auto state = ServingState(MakeSnapshot(int64_t{1} << 52, {{"a", "12345"}, {"b", "678"}}));
  auto snapshot = std::make_shared<Snapshot>(*state->snapshot);
  snapshot->publish_time = absl::FromUnixMillis(1'767'225'600'250);
  state->snapshot = snapshot;
  state->status.verified_time = absl::FromUnixMillis(1'767'225'700'500);
  hub_.Update(state);
  EXPECT_EQ(Of("app", "version"), 4503599627370496.0);
  EXPECT_EQ(Of("app", "publish_time_seconds"), 1'767'225'600.25);
  EXPECT_EQ(Of("app", "verified_time_seconds"), 1'767'225'700.5);
  EXPECT_EQ(Of("app", "files"), 2);
  EXPECT_EQ(Of("app", "size_bytes"), 8);
}

TEST_F(MetricsTest, RefusedContentLeavesTheVersionAndIsCounted) {
  auto state = RefusedState(MakeSnapshot(7, {{"a", "1"}}), "secret");
  state->status.violations_total = 250;  // of which fewer are kept
  hub_.Update(state);
  EXPECT_EQ(Of("app", "version"), 7);
  EXPECT_EQ(Of("app", "violations"), 250);
  EXPECT_EQ(States("app").at("DEGRADED"), 1);
}

TEST_F(MetricsTest, PollingPinAndFailingHistoryAreTold) {
  auto state = ServingState(MakeSnapshot(1, {{"a", "1"}}));
  state->status.polling_reason = "always_poll is set";
  hub_.Update(std::make_shared<SourceState>(*state));
  EXPECT_EQ(Of("app", "polling"), 1);
  EXPECT_EQ(Of("app", "pinned"), 0);
  state->status.pin = Pin();
  hub_.Update(std::make_shared<SourceState>(*state));
  EXPECT_EQ(Of("app", "pinned"), 1);
  EXPECT_EQ(Of("app", "history_failing"), 0);
  state->status.history.state = HistoryStatus::kRecorded;
  hub_.Update(std::make_shared<SourceState>(*state));
  EXPECT_EQ(Of("app", "history_failing"), 0);
  state->status.history.state = HistoryStatus::kFailing;
  hub_.Update(std::make_shared<SourceState>(*state));
  EXPECT_EQ(Of("app", "history_failing"), 1);
}

TEST_F(MetricsTest, SchemasThatCannotBeUsedAreTold) {
  auto state = ServingState(MakeSnapshot(1, {{"a", "1"}}));
  hub_.Update(std::make_shared<SourceState>(*state));
  EXPECT_EQ(Of("app", "schemas_failing"), 0);
  state->status.schema_problem = "app.schema.json:1: is cut short";
  hub_.Update(std::make_shared<SourceState>(*state));
  EXPECT_EQ(Of("app", "schemas_failing"), 1);
}

TEST_F(MetricsTest, RefusedConfigurationIsToldAndTheTimeOfTheOneInForceStays) {
  const auto figure = [this](const std::string& name) {
    return Figures("confstream_config_last_reload_" + name).at({});
  };
  EXPECT_EQ(figure("successful"), 1);
  EXPECT_EQ(figure("success_timestamp_seconds"), 100);
  reloads_.NoteRefused(absl::FromUnixSeconds(200), "confstream.yaml:1: is wrong");
  EXPECT_EQ(figure("successful"), 0);
  EXPECT_EQ(figure("success_timestamp_seconds"), 100);
  reloads_.NoteLoaded(absl::FromUnixSeconds(300));
  EXPECT_EQ(figure("successful"), 1);
  EXPECT_EQ(figure("success_timestamp_seconds"), 300);
}

TEST_F(MetricsTest, LengthOfWhatIsSensitiveIsNotTold) {
  auto state = ServingState(MakeSnapshot(3, {{"password", "12345"}}));
  state->sensitive = true;
  hub_.Update(state);
  hub_.Update(ServingState(MakeSnapshot(1, {{"a", "1"}}, "open")));
  EXPECT_EQ(Of("app", "size_bytes"), std::nullopt);
  EXPECT_EQ(Of("open", "size_bytes"), 1);
  EXPECT_EQ(Of("app", "version"), 3);
  EXPECT_EQ(Of("app", "files"), 1);
}

TEST_F(MetricsTest, NothingIsLeftOfASourceThatIsRemoved) {
  hub_.Update(ServingState(MakeSnapshot(1, {{"a", "1"}})));
  hub_.Update(ServingState(MakeSnapshot(5, {{"a", "1"}}, "other")));
  EXPECT_THAT(Figures("confstream_source_version"),
              UnorderedElementsAre(Pair(Labels{{"source", "app"}}, 1),
                                   Pair(Labels{{"source", "other"}}, 5)));
  hub_.RemoveSource("app");
  for (const prometheus::MetricFamily& family : metrics_.Collect()) {
    for (const prometheus::ClientMetric& metric : family.metric) {
      for (const auto& label : metric.label) EXPECT_NE(label.value, "app") << family.name;
    }
  }
  EXPECT_EQ(Of("other", "version"), 5);
}

TEST_F(MetricsTest, OpenStreamsAreCounted) {
  hub_.Update(ServingState(MakeSnapshot(1, {{"a", "1"}})));
  EXPECT_THAT(Figures("confstream_streams"), ElementsAre(Pair(Labels{}, 0)));
  const auto subscriber = std::make_shared<CountingSubscriber>();
  WatchSpec spec;
  spec.source = "app";
  spec.view = *View::Parse({});
  auto session = hub_.Open(spec, subscriber);
  ASSERT_TRUE(session.ok()) << session.status();
  EXPECT_THAT(Figures("confstream_streams"), ElementsAre(Pair(Labels{}, 1)));
  hub_.Close(**session, subscriber.get());
  EXPECT_THAT(Figures("confstream_streams"), ElementsAre(Pair(Labels{}, 0)));
}

TEST_F(MetricsTest, RescansAreCountedByReason) {
  rescans_ = {{"overflow", 2}, {"polled", 7}};
  EXPECT_EQ(Family("confstream_rescans_total").type, prometheus::MetricType::Counter);
  EXPECT_THAT(Figures("confstream_rescans_total"),
              UnorderedElementsAre(Pair(Labels{{"reason", "overflow"}}, 2),
                                   Pair(Labels{{"reason", "polled"}}, 7)));
  ++rescans_["polled"];
  EXPECT_EQ(Figures("confstream_rescans_total").at({{"reason", "polled"}}), 8);
}

}  // namespace
}  // namespace confstream
