// The data plane: confstream.v1.ConfigService.

#ifndef CONFSTREAM_SERVER_SERVE_CONFIG_SERVICE_H_
#define CONFSTREAM_SERVER_SERVE_CONFIG_SERVICE_H_

#include <grpcpp/grpcpp.h>

#include "absl/time/time.h"
#include "confstream/v1/config_service.grpc.pb.h"
#include "server/base/clock.h"
#include "server/base/config_reloads.h"
#include "server/fanout/watch_hub.h"

namespace confstream {

// Watch is a raw method, whose messages are encoded once for all streams of a view, and
// asynchronous: WatchStream asks for its calls.
using ConfigServiceBase =
    v1::ConfigService::WithRawMethod_Watch<v1::ConfigService::WithCallbackMethod_GetSnapshot<
        v1::ConfigService::WithCallbackMethod_ReportOutcome<
            v1::ConfigService::WithCallbackMethod_ListSources<v1::ConfigService::Service>>>>;

// What it answers from.
struct DataPlane {
  const Clock* clock;
  WatchHub* hub;
  const ConfigReloads* reloads;
  absl::Duration stall_timeout;  // as WatchStreamContext
};

// Answers from what the hub knows; nothing here waits. Each server has one of its own. Thread-safe.
class ConfigService final : public ConfigServiceBase {
 public:
  explicit ConfigService(const DataPlane& data) : hub_(data.hub), reloads_(data.reloads) {}

  grpc::ServerUnaryReactor* GetSnapshot(grpc::CallbackServerContext* context,
                                        const v1::GetSnapshotRequest* request,
                                        v1::GetSnapshotResponse* response) override;
  grpc::ServerUnaryReactor* ReportOutcome(grpc::CallbackServerContext* context,
                                          const v1::ReportOutcomeRequest* request,
                                          v1::ReportOutcomeResponse* response) override;
  grpc::ServerUnaryReactor* ListSources(grpc::CallbackServerContext* context,
                                        const v1::ListSourcesRequest* request,
                                        v1::ListSourcesResponse* response) override;

 private:
  absl::Status Get(const v1::GetSnapshotRequest& request, v1::GetSnapshotResponse* response) const;
  absl::Status List(const v1::ListSourcesRequest& request, v1::ListSourcesResponse* response) const;

  WatchHub* const hub_;
  const ConfigReloads* const reloads_;
};

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_SERVE_CONFIG_SERVICE_H_
