#include "server/serve/watch_request.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "google/protobuf/duration.pb.h"
#include "server/base/error_reason.h"
#include "server/base/text.h"

namespace confstream {
namespace {

constexpr absl::Duration kDefaultHeartbeat = absl::Seconds(30);
constexpr absl::Duration kLeastHeartbeat = absl::Seconds(1);
constexpr absl::Duration kLongestInterval = absl::Hours(1);
constexpr size_t kMaxNameBytes = 256;
constexpr int kMaxLabels = 16;

absl::StatusOr<absl::Duration> ParseInterval(absl::string_view field,
                                             const google::protobuf::Duration& value) {
  const absl::Duration duration = absl::Seconds(value.seconds()) + absl::Nanoseconds(value.nanos());
  if (duration < absl::ZeroDuration() || duration > kLongestInterval) {
    return InvalidRequest(absl::StrCat(field, " is ", absl::FormatDuration(duration),
                                       ": it must be from 0 to ",
                                       absl::FormatDuration(kLongestInterval)));
  }
  return duration;
}

absl::Status CheckText(absl::string_view what, const std::string& text) {
  if (text.size() > kMaxNameBytes || HasControlCharacters(text)) {
    return InvalidRequest(absl::StrCat(what, " must have at most ", kMaxNameBytes,
                                       " bytes and no control characters"));
  }
  return absl::OkStatus();
}

absl::Status CheckMode(const v1::WatchRequest& request) {
  if (v1::WatchMode_IsValid(request.mode())) return absl::OkStatus();
  return InvalidRequest(absl::StrCat("mode ", static_cast<int>(request.mode()),
                                     " is not known to this server: use SNAPSHOT or DELTA"));
}

absl::Status CheckIdentity(const v1::WatchRequest& request) {
  if (absl::Status status = CheckText("client_id", request.client_id()); !status.ok()) {
    return status;
  }
  if (request.labels_size() > kMaxLabels) {
    return InvalidRequest(absl::StrCat("the request has ", request.labels_size(),
                                       " labels, and at most ", kMaxLabels, " are allowed"));
  }
  for (const auto& [key, value] : request.labels()) {
    absl::Status status = CheckText("every label key", key);
    status.Update(CheckText("every label value", value));
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status InvalidRequest(absl::string_view message) {
  return ErrorWithReason(absl::StatusCode::kInvalidArgument, kInvalidRequest, message);
}

absl::StatusOr<View> ParseView(const google::protobuf::RepeatedPtrField<std::string>& globs) {
  // Counted before they are copied.
  if (static_cast<size_t>(globs.size()) > View::kMaxGlobs) {
    return InvalidRequest(absl::StrCat("the request has ", globs.size(),
                                       " path globs, and at most ", View::kMaxGlobs,
                                       " are allowed: join them by wildcards"));
  }
  auto view = View::Parse({globs.begin(), globs.end()});
  if (!view.ok()) return InvalidRequest(view.status().message());
  return view;
}

absl::StatusOr<WatchSpec> ParseWatchRequest(const v1::WatchRequest& request) {
  if (request.source().empty()) {
    return InvalidRequest(
        "source is empty: name one, `confstream ls` (ListSources) tells which there are");
  }
  absl::Status status = CheckMode(request);
  status.Update(CheckIdentity(request));
  if (!status.ok()) return status;

  WatchSpec spec;
  spec.source = request.source();
  auto view = ParseView(request.path_globs());
  if (!view.ok()) return view.status();
  spec.view = *std::move(view);
  spec.resumes = !request.resume_token().empty();
  if (spec.resumes) spec.token = ResumeToken::Decode(request.resume_token());
  spec.deltas = request.mode() == v1::WATCH_MODE_DELTA;
  spec.every_version = request.every_version();
  spec.until_in_sync = request.until_in_sync();
  spec.heartbeat_interval = kDefaultHeartbeat;
  if (request.has_heartbeat_interval()) {
    const auto interval = ParseInterval("heartbeat_interval", request.heartbeat_interval());
    if (!interval.ok()) return interval.status();
    if (*interval > absl::ZeroDuration() && *interval < kLeastHeartbeat) {
      return InvalidRequest(absl::StrCat("heartbeat_interval is ", absl::FormatDuration(*interval),
                                         ": it must be 0, for none, or at least ",
                                         absl::FormatDuration(kLeastHeartbeat)));
    }
    spec.heartbeat_interval =
        *interval == absl::ZeroDuration() ? absl::InfiniteDuration() : *interval;
  }
  const auto least = ParseInterval("min_update_interval", request.min_update_interval());
  if (!least.ok()) return least.status();
  spec.min_update_interval = *least;
  spec.client_id = request.client_id();
  spec.labels = {request.labels().begin(), request.labels().end()};
  return spec;
}

}  // namespace confstream
