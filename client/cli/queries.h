// The short calls: what a server serves, and whether it is healthy. Each gives up after `timeout`
// with DEADLINE_EXCEEDED. Thread-safe.

#ifndef CONFSTREAM_CLIENT_CLI_QUERIES_H_
#define CONFSTREAM_CLIENT_CLI_QUERIES_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/cpp/connection.h"
#include "confstream/v1/config_service.pb.h"

namespace confstream {

// All pages of ListSources, as if they were one.
absl::StatusOr<v1::ListSourcesResponse> ListSources(Connection* connection, absl::Duration timeout);

absl::StatusOr<v1::GetSnapshotResponse> GetSnapshot(Connection* connection,
                                                    const v1::GetSnapshotRequest& request,
                                                    absl::Duration timeout);

// What grpc.health.v1.Health says of `service`: SERVING, NOT_SERVING, SERVICE_UNKNOWN or UNKNOWN.
absl::StatusOr<std::string> CheckHealth(Connection* connection, const std::string& service,
                                        absl::Duration timeout);

}  // namespace confstream

#endif  // CONFSTREAM_CLIENT_CLI_QUERIES_H_
