#include "server/serve/grpc_server.h"

#include <grpc/grpc.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/resource_quota.h>

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace confstream {
namespace {

// Requests are small: names, globs, a token. Larger ones are refused before they take memory.
constexpr int kMaxRequestBytes = 1 << 20;
// Clients may ping this often, and without calls: etcd's and many proxies' keepalive is 10 s;
// gRPC's own default calls it abuse below five minutes (GOAWAY, too_many_pings).
constexpr int kLeastPingIntervalMs = 9 * 1000;
// The server's own pings find peers that are gone without a word.
constexpr int kKeepaliveTimeMs = 60 * 1000;
constexpr int kKeepaliveTimeoutMs = 20 * 1000;

bool IsUnixAddress(absl::string_view address) { return absl::StartsWith(address, "unix:"); }

// `address` with the port that was chosen.
std::string BoundAddress(const std::string& address, int port) {
  if (IsUnixAddress(address)) return address;
  return absl::StrCat(address.substr(0, address.rfind(':')), ":", port);
}

void SetLimits(const GrpcServerOptions& options, grpc::ServerBuilder* builder) {
  builder->SetMaxReceiveMessageSize(kMaxRequestBytes);
  // Without this a second server on the same port would get every other connection.
  builder->AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder->AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS,
                              static_cast<int>(options.max_streams_per_connection));
  builder->AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
                              kLeastPingIntervalMs);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveTimeMs);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
  // Reflection is synchronous: every open reflection stream holds a thread.
  grpc::ResourceQuota quota("confstream");
  quota.SetMaxThreads(options.reflection_threads + 1);  // one more polls for new calls
  builder->SetResourceQuota(quota);
  builder->SetSyncServerOption(grpc::ServerBuilder::NUM_CQS, 1);
  builder->SetSyncServerOption(grpc::ServerBuilder::MIN_POLLERS, 1);
  builder->SetSyncServerOption(grpc::ServerBuilder::MAX_POLLERS, 1);
}

}  // namespace

absl::StatusOr<std::unique_ptr<GrpcServer>> GrpcServer::Start(
    const GrpcServerOptions& options, const std::vector<grpc::Service*>& services,
    HealthReporter* health) {
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  grpc::ServerBuilder builder;
  SetLimits(options, &builder);
  std::vector<int> ports(options.listen.size(), 0);
  for (size_t i = 0; i < options.listen.size(); ++i) {
    builder.AddListeningPort(options.listen[i], grpc::InsecureServerCredentials(), &ports[i]);
  }
  for (grpc::Service* service : services) builder.RegisterService(service);
  std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  std::vector<std::string> addresses;
  for (size_t i = 0; i < options.listen.size(); ++i) {
    // gRPC gives Unix sockets the port 1.
    if (ports[i] <= 0) {
      return absl::FailedPreconditionError(absl::StrCat(
          "cannot listen on ", options.listen[i],
          ": the address is in use, or not of this machine, or not permitted; choose another "
          "with --listen"));
    }
    addresses.push_back(BoundAddress(options.listen[i], ports[i]));
  }
  if (server == nullptr) {
    return absl::FailedPreconditionError("the gRPC server cannot start; the lines above say why");
  }
  health->Start(server->GetHealthCheckService());
  return std::unique_ptr<GrpcServer>(new GrpcServer(std::move(server), std::move(addresses)));
}

GrpcServer::~GrpcServer() { Shutdown(absl::ZeroDuration()); }

void GrpcServer::Shutdown(absl::Duration grace) {
  server_->Shutdown(absl::ToChronoTime(absl::Now() + grace));
  server_->Wait();
}

}  // namespace confstream
