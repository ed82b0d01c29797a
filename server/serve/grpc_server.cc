#include "server/serve/grpc_server.h"

#include <grpc/grpc.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/resource_quota.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "server/serve/tcp_sockets.h"

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
// For connections to be closed whose calls have been cancelled.
constexpr absl::Duration kLetGo = absl::Seconds(1);

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

GrpcServer::GrpcServer(const DataPlane& data, ControlPlane* control, HealthReporter* health)
    : config_service_(data),
      admin_service_(control == nullptr ? nullptr : std::make_unique<AdminService>(control)),
      health_service_(health) {}

absl::StatusOr<std::unique_ptr<GrpcServer>> GrpcServer::Start(const GrpcServerOptions& options,
                                                              const DataPlane& data,
                                                              ControlPlane* control,
                                                              HealthReporter* health) {
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  std::unique_ptr<GrpcServer> server(new GrpcServer(data, control, health));
  if (absl::Status listening = server->Listen(options); !listening.ok()) return listening;

  grpc::ServerBuilder builder;
  SetLimits(options, &builder);
  using Experimental = grpc::ServerBuilder::experimental_type;
  server->connections_ = builder.experimental().AddExternalConnectionAcceptor(
      Experimental::ExternalConnectionType::FROM_FD, grpc::InsecureServerCredentials());
  builder.RegisterService(&server->config_service_);
  if (server->admin_service_ != nullptr) builder.RegisterService(server->admin_service_.get());
  builder.RegisterService(&server->health_service_);
  server->queue_ = std::make_shared<CallQueue>(&server->clock_, builder.AddCompletionQueue());
  server->server_ = builder.BuildAndStart();
  if (server->server_ == nullptr) {
    return absl::FailedPreconditionError("the gRPC server cannot start; the lines above say why");
  }
  // Not before gRPC has started: it would lose the connections.
  auto acceptor = ConnectionAcceptor::Start(
      server->Listeners(),
      [entrance = server->connections_.get()](UniqueFd connection, int listener) {
        grpc::experimental::ExternalConnectionAcceptor::NewConnectionParameters parameters;
        parameters.listener_fd = listener;
        parameters.fd = connection.Release();
        entrance->HandleNewConnection(&parameters);
      },
      &server->clock_, options.log);
  if (!acceptor.ok()) return acceptor.status();
  server->acceptor_ = *std::move(acceptor);
  server->config_service_.Serve(server->queue_);
  if (server->admin_service_ != nullptr) server->admin_service_->Serve(server->queue_);
  server->health_service_.Serve(server->queue_);
  server->queue_->Start();
  return server;
}

absl::Status GrpcServer::Listen(const GrpcServerOptions& options) {
  for (const std::string& address : options.listen) {
    if (absl::string_view path = address; absl::ConsumePrefix(&path, "unix:")) {
      auto socket = UnixSocket::Listen(std::string(path));
      if (!socket.ok()) return CannotListen(options, address, socket.status().message());
      unix_sockets_.push_back(*std::move(socket));
      addresses_.push_back(address);
      continue;
    }
    auto sockets = TcpSockets::Listen(address, absl::Milliseconds(kKeepaliveTimeoutMs));
    if (!sockets.ok()) return CannotListen(options, address, sockets.status().message());
    addresses_.push_back(BoundAddress(address, sockets->port));
    for (UniqueFd& fd : sockets->fds) tcp_sockets_.push_back(std::move(fd));
  }
  return absl::OkStatus();
}

std::vector<int> GrpcServer::Listeners() const {
  std::vector<int> listeners;
  for (const UniqueFd& socket : tcp_sockets_) listeners.push_back(socket.get());
  for (const UnixSocket& socket : unix_sockets_) listeners.push_back(socket.fd());
  return listeners;
}

GrpcServer::~GrpcServer() {
  Shutdown(absl::ZeroDuration());
  if (ending_.joinable()) ending_.join();
}

bool GrpcServer::Shutdown(absl::Duration grace) {
  if (acceptor_ == nullptr) return true;  // it has not started
  acceptor_->Stop();
  tcp_sockets_.clear();
  unix_sockets_.clear();
  if (!ending_.joinable()) {
    ending_ = std::thread([this, deadline = absl::ToChronoTime(absl::Now() + grace)] {
      server_->Shutdown(deadline);
      server_->Wait();
      // A call that is cancelled while its answer is made is answered all the same, to nobody: the
      // queue and the server must still be there.
      config_service_.Stop();
      if (admin_service_ != nullptr) admin_service_->Stop();
      queue_->Shutdown();
      MutexLock lock(&mu_);
      ended_ = true;
      ended_changed_.NotifyAll();
    });
  }
  // gRPC closes no connection while it writes to it, and that may take for ever.
  const Instant last = clock_.Now() + grace + kLetGo;
  MutexLock lock(&mu_);
  for (Instant now = clock_.Now(); !ended_ && now < last; now = clock_.Now()) {
    ended_changed_.WaitFor(&mu_, last - now);
  }
  return ended_;
}

}  // namespace confstream
