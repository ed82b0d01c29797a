#include "server/serve/health_reporter.h"

#include <grpcpp/health_check_service_interface.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace confstream {
namespace {

constexpr char kServiceName[] = "confstream.v1.ConfigService";

}  // namespace

void HealthReporter::RemoveSource(const std::string& name) {
  MutexLock lock(&mu_);
  if (sources_.erase(name) == 0) return;
  for (auto* health : health_) health->SetServingStatus(absl::StrCat("source/", name), false);
  ReportServiceLocked();
}

void HealthReporter::Update(std::shared_ptr<const SourceState> state) {
  MutexLock lock(&mu_);
  const Source now = {state->required, state->snapshot != nullptr};
  const auto [found, is_new] = sources_.try_emplace(state->source, now);
  const Source before = std::exchange(found->second, now);
  if (!is_new && before.required == now.required && before.holds_snapshot == now.holds_snapshot) {
    return;
  }
  ReportLocked(found->first, now);
  ReportServiceLocked();
}

void HealthReporter::Start(grpc::HealthCheckServiceInterface* health) {
  MutexLock lock(&mu_);
  health_.push_back(health);
  health->SetServingStatus("", true);
  for (const auto& [name, source] : sources_) ReportLocked(name, source);
  ReportServiceLocked();
}

void HealthReporter::Drain() {
  MutexLock lock(&mu_);
  for (auto* health : health_) health->Shutdown();
  health_.clear();
}

void HealthReporter::ReportLocked(const std::string& name, const Source& source) {
  for (auto* health : health_) {
    health->SetServingStatus(absl::StrCat("source/", name), source.holds_snapshot);
  }
}

void HealthReporter::ReportServiceLocked() {
  const bool serving = std::all_of(sources_.begin(), sources_.end(), [](const auto& entry) {
    return !entry.second.required || entry.second.holds_snapshot;
  });
  for (auto* health : health_) health->SetServingStatus(kServiceName, serving);
}

}  // namespace confstream
