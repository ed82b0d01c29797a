// gRPC's health service: grpc.health.v1.Health.

#ifndef CONFSTREAM_SERVER_SERVE_HEALTH_SERVICE_H_
#define CONFSTREAM_SERVER_SERVE_HEALTH_SERVICE_H_

#include <memory>

#include "grpc/health/v1/health.grpc.pb.h"
#include "server/serve/call_queue.h"
#include "server/serve/health_reporter.h"

namespace confstream {

// In place of gRPC's own, which has its calls on threads that poll beside those of a CallQueue.
// Each server has one of its own. Thread-compatible: the server owns it.
class HealthService final : public grpc::health::v1::Health::AsyncService {
 public:
  // `reporter` outlives it.
  explicit HealthService(HealthReporter* reporter) : reporter_(reporter) {}

  // Asks for calls from now on. REQUIRES: its server has started, and ends before this.
  void Serve(const std::shared_ptr<CallQueue>& queue);

 private:
  HealthReporter* const reporter_;
};

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_SERVE_HEALTH_SERVICE_H_
