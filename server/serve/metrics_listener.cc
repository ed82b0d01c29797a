#include "server/serve/metrics_listener.h"

#include <prometheus/collectable.h>
#include <prometheus/exposer.h>

#include <exception>
#include <utility>

#include "absl/strings/str_cat.h"

namespace confstream {
namespace {

// Of each address. Further connections wait, 20 at most; one that does not say in time what it
// wants is closed.
constexpr char kThreads[] = "4";
constexpr char kRequestTimeoutMs[] = "2000";

}  // namespace

MetricsListener::MetricsListener(std::shared_ptr<prometheus::Collectable> metrics)
    : metrics_(std::move(metrics)) {}

MetricsListener::~MetricsListener() = default;

absl::StatusOr<std::unique_ptr<MetricsListener>> MetricsListener::Start(
    const std::vector<std::string>& listen, std::shared_ptr<prometheus::Collectable> metrics) {
  std::unique_ptr<MetricsListener> listener(new MetricsListener(std::move(metrics)));
  for (const std::string& address : listen) {
    try {
      const std::vector<std::string> options = {"listening_ports",    address,
                                                "num_threads",        kThreads,
                                                "request_timeout_ms", kRequestTimeoutMs};
      auto exposer = std::make_unique<prometheus::Exposer>(options);
      exposer->RegisterCollectable(listener->metrics_);
      const int port = exposer->GetListeningPorts().at(0);
      listener->addresses_.push_back(
          absl::StrCat(address.substr(0, address.rfind(':')), ":", port));
      listener->exposers_.push_back(std::move(exposer));
    } catch (const std::exception&) {  // whose text does not tell why
      return absl::FailedPreconditionError(
          absl::StrCat("cannot serve metrics on ", address,
                       ": the address is in use, or not of this machine, or not permitted; choose "
                       "another with --metrics-listen"));
    }
  }
  return listener;
}

}  // namespace confstream
