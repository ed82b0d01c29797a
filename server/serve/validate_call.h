// One ValidateSnapshot RPC.

#ifndef CONFSTREAM_SERVER_SERVE_VALIDATE_CALL_H_
#define CONFSTREAM_SERVER_SERVE_VALIDATE_CALL_H_

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "confstream/v1/admin_service.pb.h"
#include "server/base/worker_pool.h"
#include "server/serve/candidate_files.h"
#include "server/snapshot/source_control.h"

namespace confstream {

// Takes the parts as they come, then checks the whole on one of `threads`. Owns itself until gRPC
// is done with it (OnDone), which calls one method at a time, but for
// OnCancel.
class ValidateCall final : public grpc::ServerReadReactor<v1::ValidateSnapshotRequest> {
 public:
  ValidateCall(SourceControl* control, WorkerPool* threads, v1::ValidateSnapshotResponse* response)
      : control_(control), threads_(threads), response_(response) {
    StartRead(&request_);
  }

  void OnReadDone(bool ok) override;
  void OnCancel() override { cancelled_ = true; }
  void OnDone() override { delete this; }

 private:
  absl::Status Take();
  absl::Status Check();

  SourceControl* const control_;
  WorkerPool* const threads_;
  v1::ValidateSnapshotResponse* const response_;
  std::atomic<bool> cancelled_{false};
  v1::ValidateSnapshotRequest request_;
  std::string source_;
  std::unique_ptr<CandidateFiles> files_;  // null: no message has come yet
};

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_SERVE_VALIDATE_CALL_H_
