#include "server/watch/plan_pacer.h"

#include <algorithm>

namespace confstream {
namespace {

constexpr int kPauseFactor = 9;
constexpr absl::Duration kCredit = absl::Seconds(1);

}  // namespace

Instant PlanPacer::NextForRoute(Instant now) const {
  return std::min(NextForTree(now), std::max(now, route_rests_until_));
}

Instant PlanPacer::NextForTree(Instant now) const { return std::max(now, paid_at_ - kCredit); }

void PlanPacer::NotePlan(Instant began, absl::Duration took) {
  const Instant ended = began + took;
  route_rests_until_ = ended + took;
  paid_at_ = std::max(paid_at_, ended) + kPauseFactor * took;
}

}  // namespace confstream
