// A ConfigAdminService that answers what a test writes down.

#ifndef CONFSTREAM_TESTS_FAKES_SCRIPTED_ADMIN_SERVICE_H_
#define CONFSTREAM_TESTS_FAKES_SCRIPTED_ADMIN_SERVICE_H_

#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>
#include <vector>

#include "confstream/v1/admin_service.grpc.pb.h"
#include "server/base/mutex.h"

namespace confstream {

// Serves on a free port of 127.0.0.1. Lists are answered page by page, whatever the page size:
// the token of a page is its number. Thread-safe; what it answers is set before it is asked.
class ScriptedAdminService final : private v1::ConfigAdminService::Service {
 public:
  ScriptedAdminService();
  ~ScriptedAdminService() override;

  const std::string& address() const { return address_; }

  // What the calls answer.
  std::vector<v1::ListSnapshotsResponse> snapshots;
  std::vector<v1::DiffSnapshotsResponse> diffs;
  std::vector<v1::ListWatchersResponse> watchers;
  v1::RollbackSnapshotResponse rollback;
  v1::UnpinSourceResponse unpin;
  v1::ReloadSourceResponse reload;
  v1::ListEventsResponse events;
  v1::ValidateSnapshotResponse verdict;
  grpc::Status error;           // if not OK: what all calls but ListSnapshots fail with
  bool refuse_uploads = false;  // ValidateSnapshot fails with `error` after its first message

  // What was asked.
  std::vector<v1::ListSnapshotsRequest> list_requests();
  std::vector<v1::DiffSnapshotsRequest> diff_requests();
  std::vector<v1::RollbackSnapshotRequest> rollback_requests();
  std::vector<v1::ValidateSnapshotRequest> uploads();
  std::string named();  // the source that the last other call named

 private:
  grpc::Status ListSnapshots(grpc::ServerContext* context, const v1::ListSnapshotsRequest* request,
                             v1::ListSnapshotsResponse* response) override;
  grpc::Status DiffSnapshots(grpc::ServerContext* context, const v1::DiffSnapshotsRequest* request,
                             v1::DiffSnapshotsResponse* response) override;
  grpc::Status ValidateSnapshot(grpc::ServerContext* context,
                                grpc::ServerReader<v1::ValidateSnapshotRequest>* reader,
                                v1::ValidateSnapshotResponse* response) override;
  grpc::Status RollbackSnapshot(grpc::ServerContext* context,
                                const v1::RollbackSnapshotRequest* request,
                                v1::RollbackSnapshotResponse* response) override;
  grpc::Status UnpinSource(grpc::ServerContext* context, const v1::UnpinSourceRequest* request,
                           v1::UnpinSourceResponse* response) override;
  grpc::Status ReloadSource(grpc::ServerContext* context, const v1::ReloadSourceRequest* request,
                            v1::ReloadSourceResponse* response) override;
  grpc::Status ListWatchers(grpc::ServerContext* context, const v1::ListWatchersRequest* request,
                            v1::ListWatchersResponse* response) override;
  grpc::Status ListEvents(grpc::ServerContext* context, const v1::ListEventsRequest* request,
                          v1::ListEventsResponse* response) override;

  std::string address_;
  std::unique_ptr<grpc::Server> server_;
  Mutex mu_;
  std::vector<v1::ListSnapshotsRequest> list_requests_ ABSL_GUARDED_BY(mu_);
  std::vector<v1::DiffSnapshotsRequest> diff_requests_ ABSL_GUARDED_BY(mu_);
  std::vector<v1::RollbackSnapshotRequest> rollback_requests_ ABSL_GUARDED_BY(mu_);
  std::vector<v1::ValidateSnapshotRequest> uploads_ ABSL_GUARDED_BY(mu_);
  std::string named_ ABSL_GUARDED_BY(mu_);
};

}  // namespace confstream

#endif  // CONFSTREAM_TESTS_FAKES_SCRIPTED_ADMIN_SERVICE_H_
