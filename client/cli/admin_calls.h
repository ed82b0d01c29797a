// The calls of ConfigAdminService. Each gives up after `timeout` with DEADLINE_EXCEEDED; lists are
// read page by page. Thread-safe.

#ifndef CONFSTREAM_CLIENT_CLI_ADMIN_CALLS_H_
#define CONFSTREAM_CLIENT_CLI_ADMIN_CALLS_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/cpp/connection.h"
#include "confstream/v1/admin_service.pb.h"

namespace confstream {

// The newest versions of `source`, at most `limit`, as one page. Its next_page_token is set if
// there are more. REQUIRES: limit > 0.
absl::StatusOr<v1::ListSnapshotsResponse> ListSnapshots(Connection* connection,
                                                        const std::string& source, int64_t limit,
                                                        absl::Duration timeout);

// All pages of what differs, one after another.
absl::Status DiffSnapshots(Connection* connection, v1::DiffSnapshotsRequest request,
                           absl::Duration timeout,
                           const std::function<void(const v1::DiffSnapshotsResponse&)>& page);

// All pages of the open streams of `source`; empty: of all sources.
absl::StatusOr<std::vector<v1::Watcher>> ListWatchers(Connection* connection,
                                                      const std::string& source,
                                                      absl::Duration timeout);

absl::StatusOr<v1::RollbackSnapshotResponse> RollbackSnapshot(
    Connection* connection, const v1::RollbackSnapshotRequest& request, absl::Duration timeout);

absl::StatusOr<v1::UnpinSourceResponse> UnpinSource(Connection* connection,
                                                    const std::string& source,
                                                    absl::Duration timeout);

absl::StatusOr<v1::ReloadSourceResponse> ReloadSource(Connection* connection,
                                                      const std::string& source,
                                                      absl::Duration timeout);

// What was seen and decided of `source` lately.
absl::StatusOr<v1::ListEventsResponse> ListEvents(Connection* connection, const std::string& source,
                                                  absl::Duration timeout);

// Sends what `next` puts into a message until it returns false, and then asks for the verdict. An
// error that `next` returns ends the call with it.
absl::StatusOr<v1::ValidateSnapshotResponse> ValidateSnapshot(
    Connection* connection,
    const std::function<absl::StatusOr<bool>(v1::ValidateSnapshotRequest*)>& next,
    absl::Duration timeout);

}  // namespace confstream

#endif  // CONFSTREAM_CLIENT_CLI_ADMIN_CALLS_H_
