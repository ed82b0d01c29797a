#include "server/serve/validate_call.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "server/fanout/messages.h"
#include "server/serve/grpc_status.h"
#include "server/serve/watch_request.h"

namespace confstream {
namespace {

// As many as confstream.v1.ValidateSnapshotResponse documents.
constexpr size_t kMaxViolations = 100;

}  // namespace

void ValidateCall::OnReadDone(bool ok) {
  if (!ok) {
    if (cancelled_) {
      Finish(ToGrpcStatus(absl::CancelledError("the caller has left")));
      return;
    }
    // Checking may take long: not on gRPC's thread.
    threads_->Submit([this] {
      Finish(ToGrpcStatus(cancelled_ ? absl::CancelledError("the caller has left") : Check()));
    });
    return;
  }
  const absl::Status taken = Take();
  if (!taken.ok()) {
    Finish(ToGrpcStatus(taken));
    return;
  }
  StartRead(&request_);
}

absl::Status ValidateCall::Take() {
  if (files_ == nullptr) {
    auto config = control_->Config(request_.source());
    if (!config.ok()) return config.status();
    source_ = request_.source();
    files_ = std::make_unique<CandidateFiles>(*config);
  }
  for (const v1::ConfigFile& part : request_.files()) {
    absl::Status taken = files_->Take(part);
    if (!taken.ok()) return taken;
  }
  return absl::OkStatus();
}

absl::Status ValidateCall::Check() {
  if (files_ == nullptr) return InvalidRequest("nothing was sent: name the source first");
  Generation generation;
  DryRunResult result;
  absl::Status whole = files_->Finish(&generation, &result.violations);
  if (!whole.ok()) return whole;
  result.total = static_cast<int64_t>(result.violations.size());
  if (result.total == 0) {
    auto checked = control_->DryRun(source_, std::move(generation));
    if (!checked.ok()) return checked.status();
    result = *std::move(checked);
    response_->set_digest(result.digest.Text());
  }
  response_->set_valid(result.total == 0);
  response_->set_violations_total(result.total);
  for (size_t i = 0; i < std::min(kMaxViolations, result.violations.size()); ++i) {
    FillViolation(result.violations[i], response_->add_violations());
  }
  return absl::OkStatus();
}

}  // namespace confstream
