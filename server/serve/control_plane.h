// What the control plane answers: everything about confstream.v1.ConfigAdminService but its calls.

#ifndef CONFSTREAM_SERVER_SERVE_CONTROL_PLANE_H_
#define CONFSTREAM_SERVER_SERVE_CONTROL_PLANE_H_

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "confstream/v1/admin_service.pb.h"
#include "server/fanout/watch_hub.h"
#include "server/snapshot/source_control.h"

namespace confstream {

// Answers questions from what the hub knows, and has the sources do what operators ask. Each method
// fills `response` as the .proto documents, or returns the error; all but ListSnapshots may take
// long. Thread-safe.
class ControlPlane {
 public:
  // Both outlive it.
  ControlPlane(WatchHub* hub, SourceControl* control) : hub_(hub), control_(control) {}

  absl::Status ListSnapshots(const v1::ListSnapshotsRequest& request,
                             v1::ListSnapshotsResponse* response) const;
  absl::Status DiffSnapshots(const v1::DiffSnapshotsRequest& request,
                             v1::DiffSnapshotsResponse* response) const;
  absl::Status RollbackSnapshot(const v1::RollbackSnapshotRequest& request,
                                v1::RollbackSnapshotResponse* response);
  absl::Status UnpinSource(const v1::UnpinSourceRequest& request,
                           v1::UnpinSourceResponse* response);
  // Waits for the reading no longer than `patience`.
  absl::Status ReloadSource(const v1::ReloadSourceRequest& request, absl::Duration patience,
                            v1::ReloadSourceResponse* response);
  absl::Status ListWatchers(const v1::ListWatchersRequest& request,
                            v1::ListWatchersResponse* response) const;
  absl::Status ListEvents(const v1::ListEventsRequest& request,
                          v1::ListEventsResponse* response) const;

  // Of which dry runs are made (ValidateCall).
  SourceControl* control() const { return control_; }

 private:
  WatchHub* const hub_;
  SourceControl* const control_;
};

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_SERVE_CONTROL_PLANE_H_
