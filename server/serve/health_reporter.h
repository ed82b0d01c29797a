// Tells the health service (grpc.health.v1) what the sources mean for it.

#ifndef CONFSTREAM_SERVER_SERVE_HEALTH_REPORTER_H_
#define CONFSTREAM_SERVER_SERVE_HEALTH_REPORTER_H_

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "server/base/mutex.h"
#include "server/snapshot/source_state.h"

namespace grpc {
class HealthCheckServiceInterface;
}

namespace confstream {

// Services: "" is SERVING from ready to drain; "confstream.v1.ConfigService" once every required
// source holds a snapshot; "source/NAME" while source NAME holds one. A source that is DEGRADED
// takes nothing away: a bad ConfigMap must not evict the server that still serves the good one.
// Thread-safe.
class HealthReporter final : public SourceStateSink {
 public:
  // A source is known from its first state on.
  void Update(std::shared_ptr<const SourceState> state) override;
  // REQUIRES: no state of the source is under way.
  void RemoveSource(const std::string& name);

  // From now on reports to `health`, too, which must live until Drain() has returned.
  void Start(grpc::HealthCheckServiceInterface* health);
  // Reports NOT_SERVING for everything, for good.
  void Drain();

 private:
  struct Source {
    bool required = false;
    bool holds_snapshot = false;
  };

  void ReportLocked(const std::string& name, const Source& source)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void ReportServiceLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  Mutex mu_;
  std::vector<grpc::HealthCheckServiceInterface*> health_ ABSL_GUARDED_BY(mu_);
  std::map<std::string, Source> sources_ ABSL_GUARDED_BY(mu_);
};

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_SERVE_HEALTH_REPORTER_H_
