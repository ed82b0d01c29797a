// What there is to tell the streams of a view at one moment.

#ifndef CONFSTREAM_SERVER_FANOUT_VIEW_STATE_H_
#define CONFSTREAM_SERVER_FANOUT_VIEW_STATE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "server/fanout/view_position.h"
#include "server/fanout/view_snapshot.h"
#include "server/snapshot/retained_versions.h"

namespace confstream {

// The condition of a source as streams are told it.
struct EncodedStatus {
  bool ordinary = false;  // what a client assumes that was told nothing: SERVING, by inotify,
                          // without violations or pin, with a history that works
  uint64_t number = 0;    // another one if a client has something to learn
  std::string message;    // a serialized WatchResponse with nothing but the status event
};

// Plain data.
struct ViewState {
  std::shared_ptr<const ViewPosition> position;     // of `view`, or where there is none; never null
  std::shared_ptr<const ViewSnapshot> view;         // null: the source has no snapshot yet
  std::shared_ptr<const RetainedVersions> history;  // null: no other version can be had
  std::shared_ptr<const EncodedStatus> status;      // never null
  std::optional<absl::Status> end;                  // the streams are to end with this
};

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_FANOUT_VIEW_STATE_H_
