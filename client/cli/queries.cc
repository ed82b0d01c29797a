#include "client/cli/queries.h"

#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/impl/codegen/proto_utils.h>

#include <future>

#include "absl/time/clock.h"
#include "client/cpp/rpc_status.h"
#include "confstream/internal/grpc_protocols.pb.h"
#include "confstream/v1/config_service.grpc.pb.h"

namespace confstream {

absl::StatusOr<v1::ListSourcesResponse> ListSources(Connection* connection,
                                                    absl::Duration timeout) {
  const auto deadline = absl::ToChronoTime(absl::Now() + timeout);  // of all pages together
  const auto stub = v1::ConfigService::NewStub(connection->channel());
  v1::ListSourcesResponse all;
  v1::ListSourcesRequest request;
  do {
    grpc::ClientContext context;
    context.set_deadline(deadline);
    v1::ListSourcesResponse response;
    const grpc::Status status = stub->ListSources(&context, request, &response);
    if (!status.ok()) return FromGrpcStatus(status);
    all.mutable_sources()->MergeFrom(response.sources());
    *all.mutable_config_status() = response.config_status();
    request.set_page_token(response.next_page_token());
  } while (!request.page_token().empty());
  return all;
}

absl::StatusOr<v1::GetSnapshotResponse> GetSnapshot(Connection* connection,
                                                    const v1::GetSnapshotRequest& request,
                                                    absl::Duration timeout) {
  const auto stub = v1::ConfigService::NewStub(connection->channel());
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + timeout));
  v1::GetSnapshotResponse response;
  const grpc::Status status = stub->GetSnapshot(&context, request, &response);
  if (!status.ok()) return FromGrpcStatus(status);
  return response;
}

absl::StatusOr<std::string> CheckHealth(Connection* connection, const std::string& service,
                                        absl::Duration timeout) {
  grpc::TemplatedGenericStub<internal::HealthCheckRequest, internal::HealthCheckResponse> stub(
      connection->channel());
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + timeout));
  internal::HealthCheckRequest request;
  request.set_service(service);
  internal::HealthCheckResponse response;
  std::promise<grpc::Status> answer;
  stub.UnaryCall(&context, "/grpc.health.v1.Health/Check", grpc::StubOptions(), &request, &response,
                 [&answer](grpc::Status status) { answer.set_value(std::move(status)); });
  const grpc::Status status = answer.get_future().get();
  if (status.error_code() == grpc::StatusCode::NOT_FOUND) return "SERVICE_UNKNOWN";
  if (!status.ok()) return FromGrpcStatus(status);
  return internal::HealthCheckResponse::ServingStatus_Name(response.status());
}

}  // namespace confstream
