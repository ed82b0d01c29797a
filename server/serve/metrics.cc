#include "server/serve/metrics.h"

#include <prometheus/metric_type.h>

#include <memory>
#include <optional>

#include "absl/time/time.h"

namespace confstream {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

// A gauge with one figure for each source.
struct SourceGauge {
  const char* name;
  const char* help;
  std::optional<double> (*value)(const SourceState& state);  // unset: left out
};

double UnixSeconds(absl::Time time) { return static_cast<double>(absl::ToUnixMicros(time)) / 1e6; }

double SizeBytes(const Snapshot& snapshot) {
  size_t bytes = 0;
  for (const SnapshotFile& file : snapshot.files) bytes += file.content->bytes.size();
  return static_cast<double>(bytes);
}

// All are numbers below 2^53, which a double holds exactly.
constexpr SourceGauge kSourceGauges[] = {
    {"confstream_source_version", "Version that is served; a drop means a new epoch.",
     [](const SourceState& state) -> std::optional<double> {
       if (state.snapshot == nullptr) return std::nullopt;
       return static_cast<double>(state.snapshot->version);
     }},
    {"confstream_source_publish_time_seconds", "When the version that is served was published.",
     [](const SourceState& state) -> std::optional<double> {
       if (state.snapshot == nullptr) return std::nullopt;
       return UnixSeconds(state.snapshot->publish_time);
     }},
    {"confstream_source_verified_time_seconds",
     "When the files were last found to be what is served, or valid and held off by a pin.",
     [](const SourceState& state) -> std::optional<double> {
       if (!state.status.verified_time.has_value()) return std::nullopt;
       return UnixSeconds(*state.status.verified_time);
     }},
    {"confstream_source_files", "Files of the version that is served.",
     [](const SourceState& state) -> std::optional<double> {
       if (state.snapshot == nullptr) return std::nullopt;
       return static_cast<double>(state.snapshot->files.size());
     }},
    // The length of a secret tells something of it.
    {"confstream_source_size_bytes",
     "Size of all files of the version that is served; not told of sensitive sources.",
     [](const SourceState& state) -> std::optional<double> {
       if (state.snapshot == nullptr || state.sensitive) return std::nullopt;
       return SizeBytes(*state.snapshot);
     }},
    {"confstream_source_violations", "Reasons why the mounted files are not served; 0: none.",
     [](const SourceState& state) -> std::optional<double> {
       return static_cast<double>(state.status.violations_total);
     }},
    {"confstream_source_polling",
     "1 if changes are looked for, since the kernel does not tell of them.",
     [](const SourceState& state) -> std::optional<double> {
       return state.status.polling_reason.empty() ? 0 : 1;
     }},
    {"confstream_source_pinned", "1 if a rollback holds the source.",
     [](const SourceState& state) -> std::optional<double> {
       return state.status.pin.has_value() ? 1 : 0;
     }},
    {"confstream_source_schemas_failing",
     "1 if schema files that have changed cannot be used, so that the old schemas stay.",
     [](const SourceState& state) -> std::optional<double> {
       return state.status.schema_problem.empty() ? 0 : 1;
     }},
    {"confstream_source_history_failing", "1 if versions cannot be recorded on disk.",
     [](const SourceState& state) -> std::optional<double> {
       return state.status.history.state == HistoryStatus::kFailing ? 1 : 0;
     }},
};

constexpr std::pair<SourceCondition, const char*> kStates[] = {
    {SourceCondition::kServing, "SERVING"}, {SourceCondition::kDegraded, "DEGRADED"},
    {SourceCondition::kWaiting, "WAITING"}, {SourceCondition::kDetached, "DETACHED"},
    {SourceCondition::kStalled, "STALLED"},
};

MetricFamily Family(const char* name, const char* help, MetricType type = MetricType::Gauge) {
  MetricFamily family;
  family.name = name;
  family.help = help;
  family.type = type;
  return family;
}

ClientMetric Gauge(std::vector<ClientMetric::Label> labels, double value) {
  ClientMetric metric;
  metric.label = std::move(labels);
  metric.gauge.value = value;
  return metric;
}

using States = std::vector<std::shared_ptr<const SourceState>>;

MetricFamily FamilyOf(const SourceGauge& gauge, const States& states) {
  MetricFamily family = Family(gauge.name, gauge.help);
  for (const auto& state : states) {
    const std::optional<double> value = gauge.value(*state);
    if (value.has_value()) family.metric.push_back(Gauge({{"source", state->source}}, *value));
  }
  return family;
}

MetricFamily StateFamily(const States& states) {
  MetricFamily family =
      Family("confstream_source_state", "1 for the state that the source is in, 0 for the others.");
  for (const auto& state : states) {
    for (const auto& [condition, name] : kStates) {
      family.metric.push_back(Gauge({{"source", state->source}, {"state", name}},
                                    state->status.condition == condition ? 1 : 0));
    }
  }
  return family;
}

}  // namespace

std::vector<MetricFamily> Metrics::Collect() const {
  States states;
  for (const std::string& name : hub_->SourceNames()) {
    auto state = hub_->Find(name);
    if (state.ok()) states.push_back(*std::move(state));  // else it was removed meanwhile
  }
  std::vector<MetricFamily> families = {StateFamily(states)};
  for (const SourceGauge& gauge : kSourceGauges) families.push_back(FamilyOf(gauge, states));

  const ConfigStatus config = reloads_->status();
  families.push_back(Family("confstream_config_last_reload_successful",
                            "0 if the configuration was refused when it was last loaded."));
  families.back().metric.push_back(Gauge({}, config.refusal_time.has_value() ? 0 : 1));
  families.push_back(Family("confstream_config_last_reload_success_timestamp_seconds",
                            "When the configuration in force was loaded."));
  families.back().metric.push_back(Gauge({}, UnixSeconds(config.load_time)));

  MetricFamily streams = Family("confstream_streams", "Watch streams that are open.");
  streams.metric.push_back(Gauge({}, static_cast<double>(hub_->streams())));
  families.push_back(std::move(streams));

  MetricFamily rescans = Family("confstream_rescans_total",
                                "Looks at a source without an event that concerns it, by reason.",
                                MetricType::Counter);
  for (const auto& [reason, count] : rescans_()) {
    ClientMetric metric;
    metric.label = {{"reason", reason}};
    metric.counter.value = static_cast<double>(count);
    rescans.metric.push_back(std::move(metric));
  }
  families.push_back(std::move(rescans));
  return families;
}

}  // namespace confstream
