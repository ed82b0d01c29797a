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

void VolumeFeed::AddFile(const std::string& name, std::string content) {
  files_[name] = std::move(content);
}

absl::StatusOr<int64_t> VolumeFeed::Publish(const std::string& payload) {
  files_[file_] = payload;
  try {
    volume_.Swap(files_);
  } catch (const std::system_error& error) {
    return absl::UnavailableError(error.what());
  }
  return committed_ns_;
}

}  // namespace confstream
