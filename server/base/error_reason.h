// Errors as the API documents them: a status that also carries a reason and perhaps when to try
// again.

#ifndef CONFSTREAM_SERVER_BASE_ERROR_REASON_H_
#define CONFSTREAM_SERVER_BASE_ERROR_REASON_H_

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace confstream {

// The reasons of confstream/v1/config_service.proto.
inline constexpr char kSourceNotFound[] = "SOURCE_NOT_FOUND";
inline constexpr char kSourceRemoved[] = "SOURCE_REMOVED";
inline constexpr char kInvalidRequest[] = "INVALID_REQUEST";
inline constexpr char kTooManyStreams[] = "TOO_MANY_STREAMS";
inline constexpr char kTooManyViews[] = "TOO_MANY_VIEWS";
inline constexpr char kDraining[] = "DRAINING";
inline constexpr char kNoSnapshotYet[] = "NO_SNAPSHOT_YET";
inline constexpr char kVersionNotRetained[] = "VERSION_NOT_RETAINED";
inline constexpr char kSnapshotTooLarge[] = "SNAPSHOT_TOO_LARGE";
inline constexpr char kVersionCompacted[] = "VERSION_COMPACTED";
inline constexpr char kWatchNotFound[] = "WATCH_NOT_FOUND";
// Those of confstream/v1/admin_service.proto.
inline constexpr char kVersionMismatch[] = "VERSION_MISMATCH";
inline constexpr char kInvalidContent[] = "INVALID_CONTENT";
inline constexpr char kNotPinned[] = "NOT_PINNED";

// `reason` becomes ErrorInfo.reason, `retry_after` RetryInfo.retry_delay.
absl::Status ErrorWithReason(absl::StatusCode code, absl::string_view reason,
                             absl::string_view message,
                             std::optional<absl::Duration> retry_after = std::nullopt);

// What ErrorWithReason was given; unset if it was not.
std::optional<std::string> ReasonOf(const absl::Status& status);
std::optional<absl::Duration> RetryAfterOf(const absl::Status& status);

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_BASE_ERROR_REASON_H_
