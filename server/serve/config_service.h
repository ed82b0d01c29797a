// The data plane: confstream.v1.ConfigService.

#ifndef CONFSTREAM_SERVER_SERVE_CONFIG_SERVICE_H_
#define CONFSTREAM_SERVER_SERVE_CONFIG_SERVICE_H_

#include <grpcpp/grpcpp.h>

#include <memory>

#include "absl/time/time.h"
#include "confstream/v1/config_service.grpc.pb.h"
#include "server/base/clock.h"
#include "server/base/config_reloads.h"
#include "server/base/worker_pool.h"
#include "server/fanout/watch_hub.h"
#include "server/serve/call_queue.h"
#include "server/serve/watch_stream.h"

namespace confstream {

// Watch is a raw method, whose messages are encoded once for all streams of a view.
using ConfigServiceBase = v1::ConfigService::WithRawMethod_Watch<
    v1::ConfigService::WithAsyncMethod_GetSnapshot<v1::ConfigService::WithAsyncMethod_ReportOutcome<
        v1::ConfigService::WithAsyncMethod_ListSources<v1::ConfigService::Service>>>>;

// What it answers from.
struct DataPlane {
  const Clock* clock;
  WatchHub* hub;
  const ConfigReloads* reloads;
  absl::Duration stall_timeout;  // a stream whose reader takes no message for so long is cancelled
};

// Answers from what the hub knows. Each server has one of its own. Thread-compatible: the server
// owns it.
class ConfigService final : public ConfigServiceBase {
 public:
  explicit ConfigService(const DataPlane& data);

  // Asks for calls from now on. REQUIRES: its server has started, and ends before this.
  void Serve(const std::shared_ptr<CallQueue>& queue);
  // Waits for the answers that are being made, and leaves those that wait for their turn. REQUIRES:
  // its server has ended all calls, and its queue still takes what they begin.
  void Stop();

 private:
  absl::Status Get(const v1::GetSnapshotRequest& request, v1::GetSnapshotResponse* response) const;
  absl::Status List(const v1::ListSourcesRequest& request, v1::ListSourcesResponse* response) const;

  WatchHub* const hub_;
  const ConfigReloads* const reloads_;
  const WatchStreamContext watch_context_;
  WorkerPool threads_;  // answer what may take long
};

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_SERVE_CONFIG_SERVICE_H_
