// One ValidateSnapshot RPC.

#ifndef CONFSTREAM_SERVER_SERVE_VALIDATE_CALL_H_
#define CONFSTREAM_SERVER_SERVE_VALIDATE_CALL_H_

#include <grpcpp/grpcpp.h>
#include <grpcpp/support/async_stream.h>

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "confstream/v1/admin_service.grpc.pb.h"
#include "server/base/worker_pool.h"
#include "server/serve/candidate_files.h"
#include "server/serve/queued_call.h"
#include "server/snapshot/source_control.h"

namespace confstream {

// Takes the parts as they come, then checks the whole on one of `threads`.
class ValidateCall final : public QueuedCall {
 public:
  // What all calls of a server share; outlives them.
  struct Context {
    v1::ConfigAdminService::AsyncService* service;  // asks gRPC for calls
    SourceControl* control;
    WorkerPool* threads;
  };

  // Serves the next call, and has the one after it served in the same way.
  static void Accept(const Context& context, const std::shared_ptr<CallQueue>& queue);

 private:
  ValidateCall(const Context& context, const std::shared_ptr<CallQueue>& queue)
      : QueuedCall(queue), context_(context) {}

  void OnCall() override;
  void OnOperation(bool ok) override;  // a part was read, or the call is finished

  void Read();
  void Finish(const absl::Status& status);
  absl::Status Take();
  absl::Status Check();

  const Context context_;
  grpc::ServerAsyncReader<v1::ValidateSnapshotResponse, v1::ValidateSnapshotRequest> reader_{
      context()};
  v1::ValidateSnapshotRequest request_;
  v1::ValidateSnapshotResponse response_;
  bool finishing_ = false;
  std::string source_;
  std::unique_ptr<CandidateFiles> files_;  // null: no message has come yet
};

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_SERVE_VALIDATE_CALL_H_
