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

absl::Status ReportOutcome(Connection* connection, const std::string& watch_id, int64_t version,
                           v1::Outcome outcome, absl::string_view reason, absl::Duration timeout) {
  const auto stub = v1::ConfigService::NewStub(connection->channel());
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + timeout));
  v1::ReportOutcomeRequest request;
  request.set_watch_id(watch_id);
  request.set_version(version);
  request.set_outcome(outcome);
  request.set_reason(ReasonText(reason));
  v1::ReportOutcomeResponse response;
  return FromGrpcStatus(stub->ReportOutcome(&context, request, &response));
}

void OutcomeReporter::OnConnected(const std::string& watch_id) {
  MutexLock lock(&mu_);
  place_.watch_id = watch_id;
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
  Place place;
  Decision decision;
  {
    MutexLock lock(&mu_);
    // In sync, the newest content is what was received last, whatever its version is by now.
    if (!in_sync || header.version() == 0) return;
    place_.epoch = header.epoch();
    place_.version = header.version();
    if (!decision_.has_value() || reported_ == place_) return;
    place = place_;
    decision = *decision_;
  }
  Send(place, decision).IgnoreError();
}

absl::Status OutcomeReporter::Report(const v1::ResponseHeader& header, v1::Outcome outcome,
                                     absl::string_view reason) {
  Place place;
  const Decision decision{outcome, std::string(reason)};
  {
    MutexLock lock(&mu_);
    if (header.epoch() == received_.epoch() && header.version() == received_.version()) {
      decision_ = decision;
      place = place_;
    } else {
      place = {place_.watch_id, header.epoch(), header.version()};
    }
  }
  return Send(place, decision);
}

absl::Status OutcomeReporter::Send(const Place& place, const Decision& decision) {
  absl::Status sent = ReportOutcome(connection_, place.watch_id, place.version, decision.outcome,
                                    decision.reason, kTimeout);
  MutexLock lock(&mu_);
  if (sent.ok() && place_ == place) reported_ = place;
  return sent;
}

}  // namespace confstream
