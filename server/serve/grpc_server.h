// A gRPC server with what it offers: the data plane, the control plane, health and reflection.

#ifndef CONFSTREAM_SERVER_SERVE_GRPC_SERVER_H_
#define CONFSTREAM_SERVER_SERVE_GRPC_SERVER_H_

#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/base/clock.h"
#include "server/base/log.h"
#include "server/base/mutex.h"
#include "server/base/unique_fd.h"
#include "server/serve/admin_service.h"
#include "server/serve/call_queue.h"
#include "server/serve/config_service.h"
#include "server/serve/connection_acceptor.h"
#include "server/serve/control_plane.h"
#include "server/serve/health_reporter.h"
#include "server/serve/health_service.h"
#include "server/serve/unix_socket.h"

namespace confstream {

struct GrpcServerOptions {
  std::vector<std::string> listen;  // host:port or unix:PATH
  std::string flag;                 // that says so, as errors name it
  int64_t max_streams_per_connection = 0;
  int reflection_threads = 0;
  Logger* log = nullptr;  // for connections that are refused; may be null, must outlive the server
};

// Serves from Start() to Shutdown(). Thread-compatible: main owns it.
class GrpcServer {
 public:
  // Listens on every address, and offers ConfigService from `data`, health, and, unless `control`
  // is null, ConfigAdminService. FAILED_PRECONDITION names the address that cannot be had, and what
  // to do. The pointers must outlive the server.
  static absl::StatusOr<std::unique_ptr<GrpcServer>> Start(const GrpcServerOptions& options,
                                                           const DataPlane& data,
                                                           ControlPlane* control,
                                                           HealthReporter* health);
  ~GrpcServer();

  // The addresses listened on, with the port that was chosen where port 0 was asked for.
  const std::vector<std::string>& addresses() const { return addresses_; }

  // Takes no new connections and calls, waits for those under way up to `grace`, then cancels them.
  // Returns when all are gone. False: a second later a client still holds on to its connection,
  // since it takes nothing of what was sent to it; may be called again.
  bool Shutdown(absl::Duration grace);

 private:
  GrpcServer(const DataPlane& data, ControlPlane* control, HealthReporter* health);

  absl::Status Listen(const GrpcServerOptions& options);
  // The sockets that connections come by.
  std::vector<int> Listeners() const;

  const SystemClock clock_{};
  ConfigService config_service_;
  std::unique_ptr<AdminService> admin_service_;  // null: not offered
  HealthService health_service_;
  std::vector<std::string> addresses_;
  std::vector<UniqueFd> tcp_sockets_;
  std::vector<UnixSocket> unix_sockets_;
  std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> connections_;  // gRPC's entrance
  std::shared_ptr<CallQueue> queue_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<ConnectionAcceptor> acceptor_;

  std::thread ending_;  // waits until all are gone
  Mutex mu_;
  CondVar ended_changed_;
  bool ended_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_SERVE_GRPC_SERVER_H_
