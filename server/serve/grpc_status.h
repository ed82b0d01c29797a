// Errors on their way out: the one place where an absl::Status becomes a grpc::Status.

#ifndef CONFSTREAM_SERVER_SERVE_GRPC_STATUS_H_
#define CONFSTREAM_SERVER_SERVE_GRPC_STATUS_H_

#include <grpcpp/support/status.h>

#include "absl/status/status.h"

namespace confstream {

// Code and message; with a reason or retry_after (ErrorWithReason) also the google.rpc details
// ErrorInfo, of domain confstream.dev, and RetryInfo. A retry is spread at random over one to two
// times retry_after, so that clients that are told at once do not come back at once.
grpc::Status ToGrpcStatus(const absl::Status& status);

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_SERVE_GRPC_STATUS_H_
