// What the sources mean for the health of the server.

#ifndef CONFSTREAM_SERVER_SERVE_HEALTH_REPORTER_H_
#define CONFSTREAM_SERVER_SERVE_HEALTH_REPORTER_H_

#include <map>
#include <memory>
#include <string>

#include "server/base/mutex.h"
#include "server/fanout/audience.h"
#include "server/snapshot/source_state.h"

namespace confstream {

// Services: "" is SERVING until the server drains; "confstream.v1.ConfigService" once every
// required source holds a snapshot; "source/NAME" while source NAME holds one. A source that is
// DEGRADED takes nothing away: a bad ConfigMap must not evict the server that still serves the good
// one. Thread-safe.
class HealthReporter final : public SourceStateSink {
 public:
  enum class Health { kUnknownService, kServing, kNotServing };

  // A source is known from its first state on.
  void Update(std::shared_ptr<const SourceState> state) override;
  // From now on it is not serving. REQUIRES: no state of the source is under way.
  void RemoveSource(const std::string& name);
  // From now on nothing is serving.
  void Drain();

  Health Of(const std::string& service) const;
  bool draining() const;

  // Who is to be told when the health of something may have changed.
  Audience& audience() { return *audience_; }

 private:
  struct Source {
    bool required = false;
    bool holds_snapshot = false;
  };

  const std::shared_ptr<Audience> audience_ = std::make_shared<Audience>();

  mutable Mutex mu_;
  std::map<std::string, Source> sources_ ABSL_GUARDED_BY(mu_);
  bool draining_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_SERVE_HEALTH_REPORTER_H_
