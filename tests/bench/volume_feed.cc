#include "tests/bench/volume_feed.h"

#include <system_error>
#include <utility>

#include "tests/bench/payload.h"

namespace confstream {

VolumeFeed::VolumeFeed(const std::string& directory, std::string file)
    : file_(std::move(file)), volume_(directory) {
  volume_.options().after_step = [this](KubeletStep step) {
    if (step == KubeletStep::kDataTmpLinked) committed_ns_ = MonotonicNanoseconds();
  };
}

absl::StatusOr<int64_t> VolumeFeed::Publish(const std::string& payload) {
  try {
    volume_.Swap({{file_, payload}});
  } catch (const std::system_error& error) {
    return absl::UnavailableError(error.what());
  }
  return committed_ns_;
}

}  // namespace confstream
