#include "client/cpp/outcome_reporter.h"

#include <grpcpp/grpcpp.h>

#include "absl/time/clock.h"
#include "client/cpp/rpc_status.h"
#include "confstream/v1/config_service.grpc.pb.h"
#include "server/base/text.h"

namespace confstream {

std::string ReasonText(absl::string_view text) {
  std::string reason(text.substr(0, kMostReasonBytes));
  for (size_t at = FindInvalidUtf8(reason); at != absl::string_view::npos;
       at = FindInvalidUtf8(reason)) {
    reason[at] = '?';
  }
  return reason;
}

void OutcomeReporter::OnConnected(const std::string& watch_id) {
  MutexLock lock(&mu_);
  place_ = {watch_id, "", 0};
}

void OutcomeReporter::OnSnapshot(const v1::ResponseHeader& header) {
  MutexLock lock(&mu_);
  received_ = header;
  place_.epoch = header.epoch();
  place_.version = header.version();
  decision_.reset();
  reported_.reset();
}

void OutcomeReporter::OnHeartbeat(const v1::ResponseHeader& header, bool in_sync) {
  // In sync, the newest content is what was received last, whatever its version is by now.
  if (!in_sync) return;
  MoveTo(header);
  Retry().IgnoreError();
}

void OutcomeReporter::MoveTo(const v1::ResponseHeader& header) {
  if (header.version() == 0) return;
  MutexLock lock(&mu_);
  place_.epoch = header.epoch();
  place_.version = header.version();
}

absl::Status OutcomeReporter::Retry() {
  MutexLock sending(&sending_mu_);
  Place place;
  Decision decision;
  {
    MutexLock lock(&mu_);
    if (!decision_.has_value() || !place_.known() || reported_ == place_) return absl::OkStatus();
    place = place_;
    decision = *decision_;
  }
  return Send(place, decision);
}

absl::Status OutcomeReporter::Report(const v1::ResponseHeader& header, v1::Outcome outcome,
                                     absl::string_view reason) {
  Place place;
  const Decision decision{outcome, ReasonText(reason)};
  MutexLock sending(&sending_mu_);
  {
    MutexLock lock(&mu_);
    if (header.epoch() == received_.epoch() && header.version() == received_.version()) {
      decision_ = decision;
      reported_.reset();
      place = place_;
    } else if (header.epoch() == place_.epoch) {
      // Of another epoch the server would take it for a version of this one.
      place = {place_.watch_id, header.epoch(), header.version()};
    }
  }
  if (!place.known()) return absl::OkStatus();
  return Send(place, decision);
}

absl::Status OutcomeReporter::Send(const Place& place, const Decision& decision) {
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + kTimeout));
  v1::ReportOutcomeRequest request;
  request.set_watch_id(place.watch_id);
  request.set_version(place.version);
  request.set_outcome(decision.outcome);
  request.set_reason(decision.reason);
  v1::ReportOutcomeResponse response;
  {
    MutexLock lock(&mu_);
    if (stopped_) return absl::CancelledError("the watch was closed");
    call_ = &context;
  }
  const auto stub = v1::ConfigService::NewStub(connection_->channel());
  absl::Status sent = FromGrpcStatus(stub->ReportOutcome(&context, request, &response));
  MutexLock lock(&mu_);
  call_ = nullptr;
  if (sent.ok() && place_ == place) reported_ = place;
  return sent;
}

void OutcomeReporter::Stop() {
  {
    MutexLock lock(&mu_);
    stopped_ = true;
    if (call_ != nullptr) call_->TryCancel();
  }
  MutexLock sending(&sending_mu_);  // the end of the call
}

}  // namespace confstream
