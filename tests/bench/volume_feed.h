// Publishes to confstreamd: a file of a ConfigMap volume, swapped as kubelet does.

#ifndef CONFSTREAM_TESTS_BENCH_VOLUME_FEED_H_
#define CONFSTREAM_TESTS_BENCH_VOLUME_FEED_H_

#include <cstdint>
#include <string>

#include "tests/bench/feed.h"
#include "tests/fakes/kubelet_volume.h"

namespace confstream {

class VolumeFeed final : public Feed {
 public:
  // The volume's directory is made if it is missing. Throws std::system_error if it cannot be.
  explicit VolumeFeed(const std::string& directory);

  // Returns the time just before `..data` is renamed.
  absl::StatusOr<int64_t> Publish(const std::string& payload) override;

 private:
  int64_t committed_ns_ = 0;
  KubeletVolume volume_;
};

}  // namespace confstream

#endif  // CONFSTREAM_TESTS_BENCH_VOLUME_FEED_H_
