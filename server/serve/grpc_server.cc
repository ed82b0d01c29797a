#include "server/serve/grpc_server.h"

#include <grpc/grpc.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/resource_quota.h>

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

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
// Who connects and does not begin to speak HTTP/2 is cut off; gRPC's own default is 120 s.
constexpr int kHandshakeTimeoutMs = 20 * 1000;

// `address` with the port that was chosen.
std::string BoundAddress(const std::string& address, int port) {
  return absl::StrCat(address.substr(0, address.rfind(':')), ":", port);
}

absl::Status CannotListen(const GrpcServerOptions& options, const std::string& address,
                          absl::string_view why) {
  return absl::FailedPreconditionError(absl::StrCat("cannot listen on ", address, ": ", why,
                                                    "; choose another with ", options.flag));
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
  builder->AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, kHandshakeTimeoutMs);
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
  std::vector<UnixSocket> sockets;
  for (size_t i = 0; i < options.listen.size(); ++i) {
    std::string address = options.listen[i];
    if (absl::string_view path = address; absl::ConsumePrefix(&path, "unix:")) {
      auto socket = UnixSocket::Prepare(std::string(path));
      if (!socket.ok()) return CannotListen(options, address, socket.status().message());
      address = absl::StrCat("unix:", socket->path_to_bind());
      sockets.push_back(*std::move(socket));
    }
    builder.AddListeningPort(address, grpc::InsecureServerCredentials(), &ports[i]);
  }
  for (grpc::Service* service : services) builder.RegisterService(service);
  std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  std::vector<std::string> addresses;
  auto socket = sockets.begin();
  for (size_t i = 0; i < options.listen.size(); ++i) {
    const std::string& address = options.listen[i];
    const bool is_unix = absl::StartsWith(address, "unix:");
    // gRPC gives Unix sockets the port 1.
    if (ports[i] <= 0) {
      return CannotListen(options, address,
                          is_unix ? "a socket cannot be made in its directory"
                                  : "the address is in use, or not of this machine, or not "
                                    "permitted");
    }
    if (is_unix && server != nullptr) {
      if (const absl::Status shown = (socket++)->Show(); !shown.ok()) {
        return CannotListen(options, address, shown.message());
      }
    }
    addresses.push_back(is_unix ? address : BoundAddress(address, ports[i]));
  }
  if (server == nullptr) {
    return absl::FailedPreconditionError("the gRPC server cannot start; the lines above say why");
  }
  health->Start(server->GetHealthCheckService());
  return std::unique_ptr<GrpcServer>(
      new GrpcServer(std::move(sockets), std::move(server), std::move(addresses)));
}

GrpcServer::~GrpcServer() { Shutdown(absl::ZeroDuration()); }

void GrpcServer::Shutdown(absl::Duration grace) {
  server_->Shutdown(absl::ToChronoTime(absl::Now() + grace));
  server_->Wait();
  sockets_.clear();
}

}  // namespace confstream
