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
  // Publishes as the key `file`. The volume's directory is made if it is missing; throws
  // std::system_error if it cannot be.
  VolumeFeed(const std::string& directory, std::string file);

  // A key that is part of every generation from now on.
  void AddFile(const std::string& name, std::string content);

  // Returns the time just before `..data` is renamed.
  absl::StatusOr<int64_t> Publish(const std::string& payload) override;

 private:
  const std::string file_;
  KubeletVolume::Payload files_;
  int64_t committed_ns_ = 0;
  KubeletVolume volume_;
};

}  // namespace confstream

#endif  // CONFSTREAM_TESTS_BENCH_VOLUME_FEED_H_
