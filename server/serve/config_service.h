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

// Watch is a raw method: its messages are encoded once for all streams of a view.
using ConfigServiceBase = v1::ConfigService::WithRawCallbackMethod_Watch<
    v1::ConfigService::WithCallbackMethod_GetSnapshot<
        v1::ConfigService::WithCallbackMethod_ReportOutcome<
            v1::ConfigService::WithCallbackMethod_ListSources<v1::ConfigService::Service>>>>;

// Answers from what the hub knows; nothing here waits. Thread-safe.
class ConfigService final : public ConfigServiceBase {
 public:
  ConfigService(const Clock* clock, WatchHub* hub, const ConfigReloads* reloads,
                absl::Duration stall_timeout)
      : clock_(clock), hub_(hub), reloads_(reloads), stall_timeout_(stall_timeout) {}

  grpc::ServerWriteReactor<grpc::ByteBuffer>* Watch(grpc::CallbackServerContext* context,
                                                    const grpc::ByteBuffer* request) override;
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

  const Clock* const clock_;
  WatchHub* const hub_;
  const ConfigReloads* const reloads_;
  const absl::Duration stall_timeout_;
};

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_SERVE_CONFIG_SERVICE_H_
