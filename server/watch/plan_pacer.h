// When planning may be repeated for a source that does not come to rest: pure, times in, times out.

#ifndef CONFSTREAM_SERVER_WATCH_PLAN_PACER_H_
#define CONFSTREAM_SERVER_WATCH_PLAN_PACER_H_

#include "absl/time/time.h"
#include "server/base/clock.h"

namespace confstream {

// Keeps the planning of one source from taking the watch thread from all others. Every plan is paid
// for by a pause, nine times as long as it took, so that directories that come and go in a tree
// cost a tenth of a thread in the long run; the first second of pauses is on credit, since most
// trees change a few times in a row and then rest, and no pause is longer than five seconds, since
// what is not planned for is not watched. Where a source leads is of more concern: without
// credit the pause before looking is as long as the last plan took. Thread-compatible.
class PlanPacer {
 public:
  // When to plan, from `now` on, since the source may lead elsewhere.
  Instant NextForRoute(Instant now) const;
  // When to plan, from `now` on, since directories of the tree came or went.
  Instant NextForTree(Instant now) const;

  // A plan was made.
  void NotePlan(Instant began, absl::Duration took);

 private:
  Instant route_rests_until_;
  Instant paid_at_;  // when the pauses for all plans are over
};

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_WATCH_PLAN_PACER_H_
