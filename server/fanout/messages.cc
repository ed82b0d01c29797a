#include "server/fanout/messages.h"

#include <algorithm>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/time/time.h"
#include "google/protobuf/timestamp.pb.h"

namespace confstream {
namespace {

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

void FillTime(absl::Time time, google::protobuf::Timestamp* message) {
  const int64_t seconds = absl::ToUnixSeconds(time);
  message->set_seconds(seconds);
  message->set_nanos(
      static_cast<int32_t>((time - absl::FromUnixSeconds(seconds)) / absl::Nanoseconds(1)));
}

void FillOrigin(SnapshotOrigin origin, int64_t rolled_back_to, v1::ResponseHeader* header) {
  header->set_origin(origin == SnapshotOrigin::kRollback ? v1::SNAPSHOT_ORIGIN_ROLLBACK
                                                         : v1::SNAPSHOT_ORIGIN_FILES);
  header->set_rolled_back_to(rolled_back_to);
}

void FillHeaderWithoutToken(const Snapshot& snapshot, v1::ResponseHeader* header) {
  header->set_source(snapshot.source);
  header->set_epoch(snapshot.epoch);
  header->set_version(snapshot.version);
  header->set_digest(snapshot.digest.Text());
  FillTime(snapshot.publish_time, header->mutable_publish_time());
  FillOrigin(snapshot.origin, snapshot.rolled_back_to, header);
}

void FillHeader(const Snapshot& snapshot, const ResumeToken& token, v1::ResponseHeader* header) {
  FillHeaderWithoutToken(snapshot, header);
  header->set_resume_token(token.Encode());
}

void FillFile(const SnapshotFile& file, v1::ConfigFile* message) {
  message->set_path(file.path);
  message->set_size_bytes(static_cast<int64_t>(file.content->bytes.size()));
  message->set_digest(file.content->digest.Text());
  message->set_content_type(std::string(ContentType(file.path)));
  message->set_last_changed_version(file.last_changed_version);
}

void FillPin(const Pin& pin, v1::Pin* message) {
  message->set_version(pin.version);
  FillTime(pin.pin_time, message->mutable_pin_time());
  if (pin.expire_time != absl::InfiniteFuture()) {
    FillTime(pin.expire_time, message->mutable_expire_time());
  }
  message->set_reason(pin.reason);
}

void FillPinEnd(const PinEnd& end, v1::PinEnd* message) {
  message->set_reason(end.reason == PinEnd::kNewContent ? v1::PIN_END_REASON_NEW_CONTENT
                      : end.reason == PinEnd::kUnpinned ? v1::PIN_END_REASON_UNPINNED
                                                        : v1::PIN_END_REASON_EXPIRED);
  FillTime(end.end_time, message->mutable_end_time());
  message->set_version(end.version);
}

void FillViolation(const Violation& violation, v1::Violation* message) {
  message->set_path(violation.path);
  message->set_line(violation.line);
  message->set_column(violation.column);
  message->set_rule(violation.rule);
  message->set_message(violation.message);
}

void FillStatus(const SourceState& state, size_t max_violations, v1::SourceStatus* message) {
  const SourceStatus& status = state.status;
  message->set_state(StateMessage(status.condition));
  FillTime(status.since, message->mutable_state_since());
  message->set_change_detection(status.polling_reason.empty() ? v1::CHANGE_DETECTION_INOTIFY
                                                              : v1::CHANGE_DETECTION_POLLING);
  message->set_polling_reason(status.polling_reason);
  if (state.snapshot != nullptr) message->set_served_version(state.snapshot->version);
  if (status.verified_time.has_value()) {
    FillTime(*status.verified_time, message->mutable_verified_time());
  }
  const size_t shown = std::min(max_violations, status.violations.size());
  for (size_t i = 0; i < shown; ++i) {
    FillViolation(status.violations[i], message->add_violations());
  }
  message->set_violations_total(status.violations_total);
  message->set_schema_problem(status.schema_problem);
  if (status.pin.has_value()) FillPin(*status.pin, message->mutable_pin());
  if (status.pin_end.has_value()) FillPinEnd(*status.pin_end, message->mutable_pin_end());
  v1::HistoryStatus* history = message->mutable_history();
  history->set_state(status.history.state == HistoryStatus::kMemory ? v1::HISTORY_STATE_MEMORY
                     : status.history.state == HistoryStatus::kRecorded
                         ? v1::HISTORY_STATE_RECORDED
                         : v1::HISTORY_STATE_FAILING);
  history->set_problem(status.history.problem);
  history->set_recorded_version(status.history.recorded_version);
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
