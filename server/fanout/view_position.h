// Where a stream of a view stands.

#ifndef CONFSTREAM_SERVER_FANOUT_VIEW_POSITION_H_
#define CONFSTREAM_SERVER_FANOUT_VIEW_POSITION_H_

#include <cstdint>
#include <memory>
#include <string>

#include "server/fanout/resume_token.h"
#include "server/fanout/view_run.h"

namespace confstream {

// Small, so that a stream can remember it without holding the files. Immutable but for the run,
// which is thread-safe.
struct ViewPosition {
  ResumeToken token;  // epoch, version and digests; version 0: there is no snapshot yet
  // How many versions that changed the view there were while somebody watched it, this one
  // included; 0 if it was published before.
  int64_t change_number = 0;
  std::shared_ptr<ViewRun> run;  // never null
  std::string header;            // a serialized WatchResponse with nothing but the header

  const Sha256& view_digest() const { return token.view_digest; }

  // True if a stream that stands here has nothing to be sent of `newest`. For one that wants every
  // version equal content is not enough: it is to see what came in between.
  bool IsUpToDateWith(const ViewPosition& newest, bool every_version) const {
    return every_version ? run == newest.run : view_digest() == newest.view_digest();
  }
};

// The position of a view of a source that has no snapshot yet.
std::shared_ptr<const ViewPosition> PositionBeforeFirst(const std::string& source,
                                                        const std::string& epoch);

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_FANOUT_VIEW_POSITION_H_
