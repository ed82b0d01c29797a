// A WatchRequest, as bytes or in protobuf's text format: it is refused with a reason, or asks for
// what the API allows.

#include <google/protobuf/io/tokenizer.h>
#include <google/protobuf/stubs/logging.h>
#include <google/protobuf/text_format.h>

#include <string>

#include "server/base/error_reason.h"
#include "server/serve/watch_request.h"
#include "tests/fuzz/fuzzing.h"

namespace confstream {
namespace {

// Text that is none is no news.
class Silence final : public google::protobuf::io::ErrorCollector {
 public:
  void AddError(int /*line*/, int /*column*/, const std::string& /*message*/) override {}
};

bool Read(absl::string_view input, v1::WatchRequest* request) {
  if (request->ParseFromArray(input.data(), static_cast<int>(input.size()))) return true;
  Silence silence;
  google::protobuf::TextFormat::Parser parser;
  parser.RecordErrorsTo(&silence);
  // The text format checks no UTF-8, the wire does.
  return IsValidUtf8(input) && parser.ParseFromString(std::string(input), request) &&
         v1::WatchRequest().ParseFromString(request->SerializeAsString());
}

void RequireAllowed(const v1::WatchRequest& request, const WatchSpec& spec) {
  Require(!spec.source.empty() && spec.source == request.source(), "a source is named");
  Require(spec.view->globs().size() <= View::kMaxGlobs, "globs are bounded");
  Require(spec.resumes == !request.resume_token().empty(), "a token means to resume");
  Require(spec.resumes || !spec.token.has_value(), "no token, nothing to resume");
  Require(spec.heartbeat_interval >= absl::Seconds(1), "heartbeats are no flood");
  Require(spec.heartbeat_interval <= absl::Hours(1) ||
              spec.heartbeat_interval == absl::InfiniteDuration(),
          "heartbeats come, or do not come");
  Require(spec.min_update_interval >= absl::ZeroDuration() &&
              spec.min_update_interval <= absl::Hours(1),
          "updates come");
  Require(spec.client_id.size() <= 256, "names are bounded");
  RequirePrintable(spec.client_id);
  Require(spec.labels.size() <= 16, "labels are bounded");
  for (const auto& [key, value] : spec.labels) {
    Require(key.size() <= 256 && value.size() <= 256, "labels are bounded");
    RequirePrintable(key);
    RequirePrintable(value);
  }
}

void Run(absl::string_view input) {
  google::protobuf::SetLogHandler(nullptr);  // it tells of every string that is not UTF-8
  v1::WatchRequest request;
  if (!Read(input, &request)) return;
  const auto spec = ParseWatchRequest(request);
  if (spec.ok()) {
    RequireAllowed(request, *spec);
    return;
  }
  Require(spec.status().code() == absl::StatusCode::kInvalidArgument,
          "what is wrong with a request is the client's to mend");
  RequirePrintable(spec.status().message());
}

}  // namespace
}  // namespace confstream

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  confstream::Run(confstream::AsText(data, size));
  return 0;
}
