// The control plane: confstream.v1.ConfigAdminService.

#ifndef CONFSTREAM_SERVER_SERVE_ADMIN_SERVICE_H_
#define CONFSTREAM_SERVER_SERVE_ADMIN_SERVICE_H_

#include <grpcpp/grpcpp.h>

#include <functional>

#include "absl/status/status.h"
#include "confstream/v1/admin_service.grpc.pb.h"
#include "server/base/worker_pool.h"
#include "server/fanout/watch_hub.h"
#include "server/snapshot/source_control.h"

namespace confstream {

// Answers questions from what the hub knows; what changes a source, and may wait for it, runs on
// threads of its own. Thread-safe.
class AdminService final : public v1::ConfigAdminService::CallbackService {
 public:
  // Both outlive the service.
  AdminService(WatchHub* hub, SourceControl* control);

  grpc::ServerUnaryReactor* ListSnapshots(grpc::CallbackServerContext* context,
                                          const v1::ListSnapshotsRequest* request,
                                          v1::ListSnapshotsResponse* response) override;
  grpc::ServerUnaryReactor* DiffSnapshots(grpc::CallbackServerContext* context,
                                          const v1::DiffSnapshotsRequest* request,
                                          v1::DiffSnapshotsResponse* response) override;
  grpc::ServerReadReactor<v1::ValidateSnapshotRequest>* ValidateSnapshot(
      grpc::CallbackServerContext* context, v1::ValidateSnapshotResponse* response) override;
  grpc::ServerUnaryReactor* RollbackSnapshot(grpc::CallbackServerContext* context,
                                             const v1::RollbackSnapshotRequest* request,
                                             v1::RollbackSnapshotResponse* response) override;
  grpc::ServerUnaryReactor* UnpinSource(grpc::CallbackServerContext* context,
                                        const v1::UnpinSourceRequest* request,
                                        v1::UnpinSourceResponse* response) override;
  grpc::ServerUnaryReactor* ReloadSource(grpc::CallbackServerContext* context,
                                         const v1::ReloadSourceRequest* request,
                                         v1::ReloadSourceResponse* response) override;
  grpc::ServerUnaryReactor* ListWatchers(grpc::CallbackServerContext* context,
                                         const v1::ListWatchersRequest* request,
                                         v1::ListWatchersResponse* response) override;
  grpc::ServerUnaryReactor* ListEvents(grpc::CallbackServerContext* context,
                                       const v1::ListEventsRequest* request,
                                       v1::ListEventsResponse* response) override;

 private:
  absl::Status List(const v1::ListSnapshotsRequest& request,
                    v1::ListSnapshotsResponse* response) const;
  absl::Status Diff(const v1::DiffSnapshotsRequest& request,
                    v1::DiffSnapshotsResponse* response) const;
  absl::Status Rollback(const v1::RollbackSnapshotRequest& request,
                        v1::RollbackSnapshotResponse* response);
  absl::Status ListStreams(const v1::ListWatchersRequest& request,
                           v1::ListWatchersResponse* response) const;
  // Runs `work` on one of `threads`, unless the caller has left by then, and finishes the call with
  // what it returns.
  static grpc::ServerUnaryReactor* RunOn(WorkerPool* threads, grpc::CallbackServerContext* context,
                                         std::function<absl::Status()> work);

  WatchHub* const hub_;
  SourceControl* const control_;
  WorkerPool control_threads_;
  WorkerPool reload_threads_;  // apart: a reading may be waited for long
};

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_SERVE_ADMIN_SERVICE_H_
