#include "server/fanout/view_message.h"

#include <atomic>

namespace confstream {
namespace {

uint64_t NextId() {
  static std::atomic<uint64_t> next{1};
  return next.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace

ViewMessage::ViewMessage() : id_(NextId()) {}

std::string ViewMessage::EncodeFragment(size_t index) const {
  const bool last = index + 1 == fragments_.size();
  v1::WatchResponse response;
  response.set_more_fragments(!last);
  FillEvent(fragments_[index], last, &response);
  // Messages that are concatenated merge.
  return position_->header + response.SerializeAsString();
}

}  // namespace confstream
