#include "server/watch/plan_pacer.h"

#include <algorithm>

namespace confstream {
namespace {

constexpr int kPriceFactor = 10;
constexpr absl::Duration kCredit = absl::Seconds(1);
constexpr absl::Duration kLongestPause = absl::Seconds(5);

}  // namespace

Instant PlanPacer::NextForRoute(Instant now) const {
  return std::min(NextForTree(now), std::max(now, route_rests_until_));
}

Instant PlanPacer::NextForTree(Instant now) const { return std::max(now, paid_at_ - kCredit); }

void PlanPacer::NotePlan(Instant began, absl::Duration took) {
  route_rests_until_ = began + 2 * took;
  paid_at_ = std::min(std::max(paid_at_, began) + kPriceFactor * took,
                      began + took + kLongestPause + kCredit);
}

}  // namespace confstream
