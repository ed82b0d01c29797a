#include "server/fanout/messages.h"

#include <algorithm>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/time/time.h"
#include "google/protobuf/timestamp.pb.h"

namespace confstream {
namespace {

void FillTime(absl::Time time, google::protobuf::Timestamp* message) {
  const int64_t seconds = absl::ToUnixSeconds(time);
  message->set_seconds(seconds);
  message->set_nanos(
      static_cast<int32_t>((time - absl::FromUnixSeconds(seconds)) / absl::Nanoseconds(1)));
}

v1::SourceState StateMessage(SourceCondition condition) {
  switch (condition) {
    case SourceCondition::kServing:
      return v1::SOURCE_STATE_SERVING;
    case SourceCondition::kDegraded:
      return v1::SOURCE_STATE_DEGRADED;
    case SourceCondition::kWaiting:
      return v1::SOURCE_STATE_WAITING;
    case SourceCondition::kDetached:
      return v1::SOURCE_STATE_DETACHED;
    case SourceCondition::kStalled:
      return v1::SOURCE_STATE_STALLED;
  }
  return v1::SOURCE_STATE_UNSPECIFIED;
}

}  // namespace

void FillHeader(const Snapshot& snapshot, const ResumeToken& token, v1::ResponseHeader* header) {
  header->set_source(snapshot.source);
  header->set_epoch(snapshot.epoch);
  header->set_version(snapshot.version);
  header->set_digest(snapshot.digest.Text());
  FillTime(snapshot.publish_time, header->mutable_publish_time());
  header->set_resume_token(token.Encode());
  header->set_origin(v1::SNAPSHOT_ORIGIN_FILES);
}

void FillFile(const SnapshotFile& file, v1::ConfigFile* message) {
  message->set_path(file.path);
  message->set_size_bytes(static_cast<int64_t>(file.content->bytes.size()));
  message->set_digest(file.content->digest.Text());
  message->set_content_type(std::string(ContentType(file.path)));
  message->set_last_changed_version(file.last_changed_version);
}

void FillStatus(const SourceState& state, size_t max_violations, v1::SourceStatus* message) {
  const SourceStatus& status = state.status;
  message->set_state(StateMessage(status.condition));
  FillTime(status.since, message->mutable_state_since());
  message->set_change_detection(status.change_detection == ChangeDetection::kInotify
                                    ? v1::CHANGE_DETECTION_INOTIFY
                                    : v1::CHANGE_DETECTION_POLLING);
  if (state.snapshot != nullptr) message->set_served_version(state.snapshot->version);
  if (status.verified_time.has_value()) {
    FillTime(*status.verified_time, message->mutable_verified_time());
  }
  const size_t shown = std::min(max_violations, status.violations.size());
  for (size_t i = 0; i < shown; ++i) {
    const Violation& violation = status.violations[i];
    v1::Violation* entry = message->add_violations();
    entry->set_path(violation.path);
    entry->set_line(violation.line);
    entry->set_column(violation.column);
    entry->set_rule(violation.rule);
    entry->set_message(violation.message);
  }
  message->set_violations_total(status.violations_total);
}

absl::string_view ContentType(absl::string_view path) {
  const size_t dot = path.rfind('.');
  if (dot == absl::string_view::npos) return "application/octet-stream";
  const std::string extension = absl::AsciiStrToLower(path.substr(dot + 1));
  if (extension == "yaml" || extension == "yml") return "application/yaml";
  if (extension == "json") return "application/json";
  if (extension == "toml") return "application/toml";
  if (extension == "txt" || extension == "conf" || extension == "ini" ||
      extension == "properties" || extension == "env") {
    return "text/plain";
  }
  return "application/octet-stream";
}

}  // namespace confstream
