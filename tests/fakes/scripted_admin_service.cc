#include "tests/fakes/scripted_admin_service.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace confstream {
namespace {

// The page that `token` names, with the token of the next.
template <typename Page>
grpc::Status Turn(const std::vector<Page>& pages, const std::string& token, Page* page) {
  size_t number = 0;
  if (!token.empty() && !absl::SimpleAtoi(token, &number)) {
    return grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "not a page token of this server");
  }
  if (number < pages.size()) *page = pages[number];
  if (number + 1 < pages.size()) page->set_next_page_token(absl::StrCat(number + 1));
  return grpc::Status::OK;
}

}  // namespace

ScriptedAdminService::ScriptedAdminService() {
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(this);
  server_ = builder.BuildAndStart();
  address_ = absl::StrCat("127.0.0.1:", port);
}

ScriptedAdminService::~ScriptedAdminService() { server_->Shutdown(); }

std::vector<v1::ListSnapshotsRequest> ScriptedAdminService::list_requests() {
  MutexLock lock(&mu_);
  return list_requests_;
}

std::vector<v1::DiffSnapshotsRequest> ScriptedAdminService::diff_requests() {
  MutexLock lock(&mu_);
  return diff_requests_;
}

std::vector<v1::RollbackSnapshotRequest> ScriptedAdminService::rollback_requests() {
  MutexLock lock(&mu_);
  return rollback_requests_;
}

std::vector<v1::ValidateSnapshotRequest> ScriptedAdminService::uploads() {
  MutexLock lock(&mu_);
  return uploads_;
}

std::string ScriptedAdminService::named() {
  MutexLock lock(&mu_);
  return named_;
}

grpc::Status ScriptedAdminService::ListSnapshots(grpc::ServerContext*,
                                                 const v1::ListSnapshotsRequest* request,
                                                 v1::ListSnapshotsResponse* response) {
  MutexLock lock(&mu_);
  list_requests_.push_back(*request);
  return Turn(snapshots, request->page_token(), response);
}

grpc::Status ScriptedAdminService::DiffSnapshots(grpc::ServerContext*,
                                                 const v1::DiffSnapshotsRequest* request,
                                                 v1::DiffSnapshotsResponse* response) {
  MutexLock lock(&mu_);
  diff_requests_.push_back(*request);
  if (!error.ok()) return error;
  return Turn(diffs, request->page_token(), response);
}

grpc::Status ScriptedAdminService::ValidateSnapshot(
    grpc::ServerContext*, grpc::ServerReader<v1::ValidateSnapshotRequest>* reader,
    v1::ValidateSnapshotResponse* response) {
  v1::ValidateSnapshotRequest request;
  while (reader->Read(&request)) {
    MutexLock lock(&mu_);
    uploads_.push_back(request);
    if (refuse_uploads) return error;
  }
  *response = verdict;
  return error;
}

grpc::Status ScriptedAdminService::RollbackSnapshot(grpc::ServerContext*,
                                                    const v1::RollbackSnapshotRequest* request,
                                                    v1::RollbackSnapshotResponse* response) {
  MutexLock lock(&mu_);
  rollback_requests_.push_back(*request);
  *response = rollback;
  return error;
}

grpc::Status ScriptedAdminService::UnpinSource(grpc::ServerContext*,
                                               const v1::UnpinSourceRequest* request,
                                               v1::UnpinSourceResponse* response) {
  MutexLock lock(&mu_);
  named_ = request->source();
  *response = unpin;
  return error;
}

grpc::Status ScriptedAdminService::ReloadSource(grpc::ServerContext*,
                                                const v1::ReloadSourceRequest* request,
                                                v1::ReloadSourceResponse* response) {
  MutexLock lock(&mu_);
  named_ = request->source();
  *response = reload;
  return error;
}

grpc::Status ScriptedAdminService::ListEvents(grpc::ServerContext*,
                                              const v1::ListEventsRequest* request,
                                              v1::ListEventsResponse* response) {
  MutexLock lock(&mu_);
  named_ = request->source();
  *response = events;
  return error;
}

grpc::Status ScriptedAdminService::ListWatchers(grpc::ServerContext*,
                                                const v1::ListWatchersRequest* request,
                                                v1::ListWatchersResponse* response) {
  MutexLock lock(&mu_);
  named_ = request->source();
  if (!error.ok()) return error;
  return Turn(watchers, request->page_token(), response);
}

}  // namespace confstream
