#include "server/serve/health_reporter.h"

#include <algorithm>
#include <utility>

#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"

namespace confstream {
namespace {

constexpr char kServiceName[] = "confstream.v1.ConfigService";
constexpr char kSourcePrefix[] = "source/";

}  // namespace

void HealthReporter::Update(std::shared_ptr<const SourceState> state) {
  {
    MutexLock lock(&mu_);
    const Source now = {state->required, state->snapshot != nullptr};
    const auto [found, is_new] = sources_.try_emplace(state->source, now);
    const Source before = std::exchange(found->second, now);
    if (!is_new && before.required == now.required && before.holds_snapshot == now.holds_snapshot) {
      return;
    }
  }
  audience_->Notify();
}

void HealthReporter::RemoveSource(const std::string& name) {
  {
    MutexLock lock(&mu_);
    const auto found = sources_.find(name);
    if (found == sources_.end()) return;
    // Nobody waits for it, and it holds nothing any more; but whoever asks for it knows it.
    const Source before = std::exchange(found->second, Source());
    if (!before.required && !before.holds_snapshot) return;
  }
  audience_->Notify();
}

void HealthReporter::Drain() {
  {
    MutexLock lock(&mu_);
    draining_ = true;
  }
  audience_->Notify();
}

HealthReporter::Health HealthReporter::Of(const std::string& service) const {
  MutexLock lock(&mu_);
  bool serving = false;
  if (service.empty()) {
    serving = true;
  } else if (service == kServiceName) {
    serving = std::all_of(sources_.begin(), sources_.end(), [](const auto& entry) {
      return !entry.second.required || entry.second.holds_snapshot;
    });
  } else {
    absl::string_view name = service;
    if (!absl::ConsumePrefix(&name, kSourcePrefix)) return Health::kUnknownService;
    const auto found = sources_.find(std::string(name));
    if (found == sources_.end()) return Health::kUnknownService;
    serving = found->second.holds_snapshot;
  }
  return serving && !draining_ ? Health::kServing : Health::kNotServing;
}

bool HealthReporter::draining() const {
  MutexLock lock(&mu_);
  return draining_;
}

}  // namespace confstream
