#include "client/cli/admin_calls.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <chrono>

#include "absl/time/clock.h"
#include "client/cpp/rpc_status.h"
#include "confstream/v1/admin_service.grpc.pb.h"

namespace confstream {
namespace {

constexpr int64_t kMostPerPage = 1000;

using Stub = v1::ConfigAdminService::Stub;

std::chrono::system_clock::time_point DeadlineAfter(absl::Duration timeout) {
  return absl::ToChronoTime(absl::Now() + timeout);
}

template <typename Request, typename Response>
absl::StatusOr<Response> Call(Connection* connection,
                              grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                                           Response*),
                              const Request& request,
                              std::chrono::system_clock::time_point deadline) {
  const auto stub = v1::ConfigAdminService::NewStub(connection->channel());
  grpc::ClientContext context;
  context.set_deadline(deadline);
  Response response;
  const grpc::Status status = (stub.get()->*method)(&context, request, &response);
  if (!status.ok()) return FromGrpcStatus(status);
  return response;
}

}  // namespace

absl::StatusOr<v1::ListSnapshotsResponse> ListSnapshots(Connection* connection,
                                                        const std::string& source, int64_t limit,
                                                        absl::Duration timeout) {
  const auto deadline = DeadlineAfter(timeout);  // of all pages together
  v1::ListSnapshotsRequest request;
  request.set_source(source);
  v1::ListSnapshotsResponse all;
  do {
    request.set_page_size(
        static_cast<int32_t>(std::min(limit - all.snapshots_size(), kMostPerPage)));
    auto page = Call(connection, &Stub::ListSnapshots, request, deadline);
    if (!page.ok()) return page.status();
    request.set_page_token(page->next_page_token());
    all.MergeFrom(*page);
  } while (!request.page_token().empty() && all.snapshots_size() < limit);
  all.set_next_page_token(request.page_token());
  return all;
}

absl::Status DiffSnapshots(Connection* connection, v1::DiffSnapshotsRequest request,
                           absl::Duration timeout,
                           const std::function<void(const v1::DiffSnapshotsResponse&)>& page) {
  const auto deadline = DeadlineAfter(timeout);
  do {
    const auto response = Call(connection, &Stub::DiffSnapshots, request, deadline);
    if (!response.ok()) return response.status();
    page(*response);
    request.set_page_token(response->next_page_token());
  } while (!request.page_token().empty());
  return absl::OkStatus();
}

absl::StatusOr<std::vector<v1::Watcher>> ListWatchers(Connection* connection,
                                                      const std::string& source,
                                                      absl::Duration timeout) {
  const auto deadline = DeadlineAfter(timeout);
  v1::ListWatchersRequest request;
  request.set_source(source);
  std::vector<v1::Watcher> watchers;
  do {
    const auto page = Call(connection, &Stub::ListWatchers, request, deadline);
    if (!page.ok()) return page.status();
    watchers.insert(watchers.end(), page->watchers().begin(), page->watchers().end());
    request.set_page_token(page->next_page_token());
  } while (!request.page_token().empty());
  return watchers;
}

absl::StatusOr<v1::RollbackSnapshotResponse> RollbackSnapshot(
    Connection* connection, const v1::RollbackSnapshotRequest& request, absl::Duration timeout) {
  return Call(connection, &Stub::RollbackSnapshot, request, DeadlineAfter(timeout));
}

absl::StatusOr<v1::UnpinSourceResponse> UnpinSource(Connection* connection,
                                                    const std::string& source,
                                                    absl::Duration timeout) {
  v1::UnpinSourceRequest request;
  request.set_source(source);
  return Call(connection, &Stub::UnpinSource, request, DeadlineAfter(timeout));
}

absl::StatusOr<v1::ReloadSourceResponse> ReloadSource(Connection* connection,
                                                      const std::string& source,
                                                      absl::Duration timeout) {
  v1::ReloadSourceRequest request;
  request.set_source(source);
  return Call(connection, &Stub::ReloadSource, request, DeadlineAfter(timeout));
}

absl::StatusOr<v1::ListEventsResponse> ListEvents(Connection* connection, const std::string& source,
                                                  absl::Duration timeout) {
  v1::ListEventsRequest request;
  request.set_source(source);
  return Call(connection, &Stub::ListEvents, request, DeadlineAfter(timeout));
}

absl::StatusOr<v1::ValidateSnapshotResponse> ValidateSnapshot(
    Connection* connection,
    const std::function<absl::StatusOr<bool>(v1::ValidateSnapshotRequest*)>& next,
    absl::Duration timeout) {
  const auto stub = v1::ConfigAdminService::NewStub(connection->channel());
  grpc::ClientContext context;
  context.set_deadline(DeadlineAfter(timeout));
  v1::ValidateSnapshotResponse response;
  const auto writer = stub->ValidateSnapshot(&context, &response);
  while (true) {
    v1::ValidateSnapshotRequest request;
    const absl::StatusOr<bool> more = next(&request);
    if (!more.ok()) {
      context.TryCancel();
      writer->Finish();
      return more.status();
    }
    // A server that refuses early stops reading: Finish says why.
    if (!*more || !writer->Write(request)) break;
  }
  writer->WritesDone();
  const grpc::Status status = writer->Finish();
  if (!status.ok()) return FromGrpcStatus(status);
  return response;
}

}  // namespace confstream
