#include "tests/bench/receipts.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

namespace confstream {

Receipts::Receipts(size_t watchers, int64_t warm_up, int64_t last)
    : warm_up_(warm_up),
      last_(last),
      began_ns_(static_cast<size_t>(last + 1)),
      numbers_(watchers, -1),
      latency_ns_(static_cast<size_t>(last - warm_up)) {
  for (auto& latencies : latency_ns_) latencies.reserve(watchers);
}

void Receipts::NotePublished(int64_t number, int64_t began_ns) {
  began_ns_.at(static_cast<size_t>(number)) = began_ns;
}

void Receipts::NoteReceived(size_t watcher, const std::vector<PayloadStamp>& stamps, size_t bytes,
                            int64_t now_ns) {
  if (!stamps.empty() && stamps.back().number > warm_up_) {
    received_bytes_ += static_cast<int64_t>(bytes);
  }
  for (const PayloadStamp& stamp : stamps) {
    if (stamp.number < 0 || stamp.number > last_ ||
        began_ns_[static_cast<size_t>(stamp.number)] != stamp.time_ns) {
      std::fprintf(stderr, "watch_load: update %lld was received but never published\n",
                   static_cast<long long>(stamp.number));
      std::abort();
    }
    int64_t& newest = numbers_[watcher];
    if (stamp.number <= newest) continue;  // what the stream began with, sent again
    if (stamp.number > warm_up_) {
      ++deliveries_;
      skipped_ += stamp.number - std::max(newest, warm_up_) - 1;
    }
    for (int64_t number = std::max(newest, warm_up_) + 1; number <= stamp.number; ++number) {
      latency_ns_[static_cast<size_t>(number - warm_up_ - 1)].push_back(
          now_ns - began_ns_[static_cast<size_t>(number)]);
    }
    if (newest < warm_up_ && stamp.number >= warm_up_) ++warm_;
    newest = stamp.number;
    if (newest == last_) ++at_last_;
  }
}

std::vector<std::vector<int64_t>> Receipts::SortedLatencies() const {
  std::vector<std::vector<int64_t>> sorted = latency_ns_;
  for (auto& latencies : sorted) std::sort(latencies.begin(), latencies.end());
  return sorted;
}

}  // namespace confstream
