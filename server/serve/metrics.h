// What Prometheus is told of the server (docs/metrics.md).

#ifndef CONFSTREAM_SERVER_SERVE_METRICS_H_
#define CONFSTREAM_SERVER_SERVE_METRICS_H_

#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "server/base/config_reloads.h"
#include "server/fanout/watch_hub.h"

namespace confstream {

// Figures are gathered when they are asked for: nothing on the way of the data counts for them.
// Immutable after construction, so thread-safe.
class Metrics final : public prometheus::Collectable {
 public:
  // How often sources were looked at again, by reason. Called on any thread.
  using Rescans = std::function<std::map<std::string, int64_t>()>;

  // `hub`, `reloads`, and what `rescans` uses, must outlive the metrics.
  Metrics(const WatchHub* hub, const ConfigReloads* reloads, Rescans rescans)
      : hub_(hub), reloads_(reloads), rescans_(std::move(rescans)) {}

  // Every family is there, whatever the sources; docs/metrics.md says which figures are left out
  // when.
  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  const WatchHub* const hub_;
  const ConfigReloads* const reloads_;
  const Rescans rescans_;
};

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_SERVE_METRICS_H_
