// The HTTP server that metrics are scraped from.

#ifndef CONFSTREAM_SERVER_SERVE_METRICS_LISTENER_H_
#define CONFSTREAM_SERVER_SERVE_METRICS_LISTENER_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace prometheus {
class Collectable;
class Exposer;
}  // namespace prometheus

namespace confstream {

// Answers GET /metrics from Start() on until it is destroyed, which takes the library up to two
// seconds an address even if nobody scrapes. Thread-compatible: main owns it.
class MetricsListener {
 public:
  // Listens on every address, HOST:PORT without IPv6; on none if there is none. FAILED_PRECONDITION
  // names the one that cannot be had, and what to do.
  static absl::StatusOr<std::unique_ptr<MetricsListener>> Start(
      const std::vector<std::string>& listen, std::shared_ptr<prometheus::Collectable> metrics);
  ~MetricsListener();
  MetricsListener(const MetricsListener&) = delete;
  MetricsListener& operator=(const MetricsListener&) = delete;

  // The addresses listened on, with the port that was chosen where port 0 was asked for.
  const std::vector<std::string>& addresses() const { return addresses_; }

 private:
  explicit MetricsListener(std::shared_ptr<prometheus::Collectable> metrics);

  const std::shared_ptr<prometheus::Collectable> metrics_;  // the exposers have weak references
  std::vector<std::unique_ptr<prometheus::Exposer>> exposers_;
  std::vector<std::string> addresses_;
};

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_SERVE_METRICS_LISTENER_H_
