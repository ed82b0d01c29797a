// The control plane's calls: confstream.v1.ConfigAdminService.

#ifndef CONFSTREAM_SERVER_SERVE_ADMIN_SERVICE_H_
#define CONFSTREAM_SERVER_SERVE_ADMIN_SERVICE_H_

#include <memory>

#include "confstream/v1/admin_service.grpc.pb.h"
#include "server/base/worker_pool.h"
#include "server/serve/call_queue.h"
#include "server/serve/control_plane.h"

namespace confstream {

// What may take long, or wait for a source, is answered on threads of its own. Each server has one
// of its own. Thread-compatible: the server owns it.
class AdminService final : public v1::ConfigAdminService::AsyncService {
 public:
  // `plane` outlives it.
  explicit AdminService(ControlPlane* plane);

  // Asks for calls from now on. REQUIRES: its server has started, and ends before this.
  void Serve(const std::shared_ptr<CallQueue>& queue);
  // As ConfigService::Stop().
  void Stop();

 private:
  ControlPlane* const plane_;
  WorkerPool control_threads_;
  WorkerPool reload_threads_;  // apart: a reading may be waited for long
};

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_SERVE_ADMIN_SERVICE_H_
