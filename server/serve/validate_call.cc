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

void ValidateCall::Accept(const Context& context, const std::shared_ptr<CallQueue>& queue) {
  std::shared_ptr<ValidateCall> call(new ValidateCall(context, queue));
  context.service->RequestValidateSnapshot(call->context(), &call->reader_, queue->completions(),
                                           queue->completions(), call->CallTag());
}

void ValidateCall::OnCall() {
  Accept(context_, queue());
  Read();
}

void ValidateCall::OnOperation(bool ok) {
  if (finishing_) return;
  if (!ok) {  // all parts have come, or the caller has left
    finishing_ = true;
    // Checking may take long: not on the queue's thread.
    DoOn(
        context_.threads, [this] { return Check(); },
        [this](const absl::Status& status) { Finish(status); });
    return;
  }
  if (const absl::Status taken = Take(); !taken.ok()) {
    finishing_ = true;
    Finish(taken);
    return;
  }
  Read();
}

void ValidateCall::Read() { reader_.Read(&request_, OperationTag()); }

void ValidateCall::Finish(const absl::Status& status) {
  if (status.ok()) {
    reader_.Finish(response_, grpc::Status::OK, OperationTag());
  } else {
    reader_.FinishWithError(ToGrpcStatus(status), OperationTag());
  }
}

absl::Status ValidateCall::Take() {
  if (files_ == nullptr) {
    auto config = context_.control->Config(request_.source());
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
    auto checked = context_.control->DryRun(source_, std::move(generation));
    if (!checked.ok()) return checked.status();
    result = *std::move(checked);
    response_.set_digest(result.digest.Text());
  }
  response_.set_valid(result.total == 0);
  response_.set_violations_total(result.total);
  for (size_t i = 0; i < std::min(kMaxViolations, result.violations.size()); ++i) {
    FillViolation(result.violations[i], response_.add_violations());
  }
  return absl::OkStatus();
}

}  // namespace confstream
