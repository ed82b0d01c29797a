// Errors of calls, from gRPC's status type to Abseil's, with the details that a Confstream server
// adds.

#ifndef CONFSTREAM_CLIENT_CPP_RPC_STATUS_H_
#define CONFSTREAM_CLIENT_CPP_RPC_STATUS_H_

#include <grpcpp/support/status.h>

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace confstream {

// Code and message of `status`, and its details as payloads by type URL. Details that cannot be
// parsed are left out.
absl::Status FromGrpcStatus(const grpc::Status& status);

// The reason that the server named for an error (config_service.proto lists them with each call),
// for example SOURCE_NOT_FOUND. Empty if the error does not come from a Confstream server.
std::string ErrorReason(const absl::Status& status);

// After what time the server asks to try again; nullopt if it does not.
std::optional<absl::Duration> RetryDelay(const absl::Status& status);

}  // namespace confstream

#endif  // CONFSTREAM_CLIENT_CPP_RPC_STATUS_H_
