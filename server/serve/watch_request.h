// Requests, checked.

#ifndef CONFSTREAM_SERVER_SERVE_WATCH_REQUEST_H_
#define CONFSTREAM_SERVER_SERVE_WATCH_REQUEST_H_

#include <string>

#include "absl/status/statusor.h"
#include "confstream/v1/config_service.pb.h"
#include "google/protobuf/repeated_ptr_field.h"
#include "server/fanout/view.h"
#include "server/fanout/watch_spec.h"

namespace confstream {

// What the request asks for, with defaults filled in. INVALID_ARGUMENT: as ConfigService.Watch
// documents.
absl::StatusOr<WatchSpec> ParseWatchRequest(const v1::WatchRequest& request);

// The view that the globs of a request describe. INVALID_ARGUMENT, with reason, as the API
// documents.
absl::StatusOr<View> ParseView(const google::protobuf::RepeatedPtrField<std::string>& globs);

// INVALID_ARGUMENT with the reason INVALID_REQUEST.
absl::Status InvalidRequest(absl::string_view message);

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_SERVE_WATCH_REQUEST_H_
