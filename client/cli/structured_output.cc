#include "client/cli/structured_output.h"

#include <yaml-cpp/emitter.h>
#include <yaml-cpp/emittermanip.h>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/cli/display.h"
#include "client/cpp/rpc_status.h"
#include "server/base/text.h"

namespace confstream {
namespace {

void AddContent(Json* object, const std::string& content) {
  if (IsValidUtf8(content)) {
    (*object)["content"] = content;
  } else {
    (*object)["content_base64"] = absl::Base64Escape(content);
  }
}

Json ToJson(const ReceivedFile& file) {
  Json json = Json::object();
  json["path"] = file.path;
  json["size_bytes"] = static_cast<int64_t>(file.content->size());
  json["digest"] = file.digest.Text();
  json["content_type"] = file.content_type;
  json["last_changed_version"] = file.last_changed_version;
  AddContent(&json, *file.content);
  return json;
}

// DEL and the C1 control characters may stand in JSON as they are, but some terminals obey them.
std::string EscapeC1(const std::string& json) {
  std::string out;
  out.reserve(json.size());
  for (size_t i = 0; i < json.size(); ++i) {
    const bool c1 =
        json[i] == '\xc2' && i + 1 < json.size() && static_cast<uint8_t>(json[i + 1]) < 0xa0;
    if (json[i] == '\x7f' || c1) {
      if (c1) ++i;
      absl::StrAppend(&out, "\\u00", absl::Hex(static_cast<uint8_t>(json[i]), absl::kZeroPad2));
    } else {
      out += json[i];
    }
  }
  return out;
}

// True if yaml-cpp's literal style gives `text` back as it is.
bool FitsLiteral(const std::string& text) {
  if (text.empty() || text.back() != '\n' || absl::EndsWith(text, "\n\n")) return false;
  if (text.front() == ' ' || text.front() == '\n' || text.front() == '\t') return false;
  for (size_t i = 0; i < text.size(); ++i) {
    const uint8_t byte = static_cast<uint8_t>(text[i]);
    if (byte == '\n' || byte == '\t') continue;
    // Beyond ASCII there are characters that YAML takes for line breaks or does not print.
    if (byte < 0x20 || byte == 0x7f || byte == 0xc2 || byte == 0xe2 || byte == 0xef) return false;
  }
  return true;
}

void Emit(YAML::Emitter* out, const Json& value) {
  switch (value.type()) {
    case Json::value_t::object:
      *out << YAML::BeginMap;
      for (const auto& [key, member] : value.items()) {
        *out << YAML::Key << key << YAML::Value;
        Emit(out, member);
      }
      *out << YAML::EndMap;
      break;
    case Json::value_t::array:
      if (value.empty()) *out << YAML::Flow;
      *out << YAML::BeginSeq;
      for (const Json& member : value) Emit(out, member);
      *out << YAML::EndSeq;
      break;
    case Json::value_t::string: {
      const auto& text = value.get_ref<const std::string&>();
      if (FitsLiteral(text)) {
        *out << YAML::Literal << text.substr(0, text.size() - 1);  // it adds a newline
      } else {
        *out << YAML::DoubleQuoted << text;
      }
      break;
    }
    default:
      *out << value.dump();
  }
}

}  // namespace

void AddHeader(Json* object, const v1::ResponseHeader& header) {
  Json& json = *object;
  json["source"] = header.source();
  json["epoch"] = header.epoch();
  if (header.version() == 0) return;
  json["version"] = header.version();
  json["digest"] = header.digest();
  if (header.has_publish_time()) json["publish_time"] = UtcTime(FromProto(header.publish_time()));
  if (!header.resume_token().empty()) json["resume_token"] = header.resume_token();
  json["origin"] = ShortName(header.origin());
  if (header.rolled_back_to() > 0) json["rolled_back_to"] = header.rolled_back_to();
}

void AddStatus(Json* object, const v1::SourceStatus& status) {
  Json& json = *object;
  json["state"] = ShortName(status.state());
  if (status.has_state_since()) json["state_since"] = UtcTime(FromProto(status.state_since()));
  json["change_detection"] = ShortName(status.change_detection());
  if (!status.polling_reason().empty()) json["polling_reason"] = status.polling_reason();
  json["served_version"] = status.served_version();
  if (!status.schema_problem().empty()) json["schema_problem"] = status.schema_problem();
  if (status.has_verified_time()) {
    json["verified_time"] = UtcTime(FromProto(status.verified_time()));
  }
  if (status.has_pin()) json["pin"] = ToJson(status.pin());
  if (status.has_pin_end()) {
    json["pin_end"] = {{"reason", ShortName(status.pin_end().reason())},
                       {"end_time", UtcTime(FromProto(status.pin_end().end_time()))},
                       {"version", status.pin_end().version()}};
  }
  if (status.has_history()) {
    json["history"] = {{"state", ShortName(status.history().state())},
                       {"recorded_version", status.history().recorded_version()}};
    if (!status.history().problem().empty()) {
      json["history"]["problem"] = status.history().problem();
    }
  }
  json["violations_total"] = status.violations_total();
  Json violations = Json::array();
  for (const v1::Violation& violation : status.violations()) {
    violations.push_back(ToJson(violation));
  }
  json["violations"] = std::move(violations);
}

void AddSnapshot(Json* object, const ReceivedSnapshot& snapshot) {
  AddHeader(object, snapshot.header);
  (*object)["view_digest"] = snapshot.view_digest;
  (*object)["missing_globs"] = snapshot.missing_globs;
  Json files = Json::array();
  for (const ReceivedFile& file : snapshot.files) files.push_back(ToJson(file));
  (*object)["files"] = std::move(files);
}

Json FileToJson(const v1::ConfigFile& file, bool with_content) {
  Json json = Json::object();
  json["path"] = file.path();
  json["size_bytes"] = file.size_bytes();
  json["digest"] = file.digest();
  json["content_type"] = file.content_type();
  json["last_changed_version"] = file.last_changed_version();
  if (with_content) AddContent(&json, file.content());
  return json;
}

Json ToJson(const absl::Status& error) {
  Json json = Json::object();
  json["code"] = absl::StatusCodeToString(error.code());
  const std::string reason = ErrorReason(error);
  if (!reason.empty()) json["reason"] = reason;
  json["message"] = std::string(error.message());
  return json;
}

Json ToJson(const v1::Violation& violation) {
  Json json = Json::object();
  if (!violation.path().empty()) json["path"] = violation.path();
  if (violation.line() > 0) json["line"] = violation.line();
  if (violation.column() > 0) json["column"] = violation.column();
  json["rule"] = violation.rule();
  json["message"] = violation.message();
  return json;
}

Json ToJson(const v1::Pin& pin) {
  Json json = Json::object();
  json["version"] = pin.version();
  if (pin.has_pin_time()) json["pin_time"] = UtcTime(FromProto(pin.pin_time()));
  if (pin.has_expire_time()) json["expire_time"] = UtcTime(FromProto(pin.expire_time()));
  json["reason"] = pin.reason();
  return json;
}

void PrintStructured(const Json& value, OutputFormat format, const Console& console) {
  *console.out << (format == OutputFormat::kJson ? JsonText(value) + "\n" : YamlText(value));
}

void PrintEvent(const Json& event, OutputFormat format, const Console& console) {
  Json timed = {{"type", event["type"]},
                {"time", UtcTime(absl::FromUnixMillis(absl::ToUnixMillis(absl::Now())))}};
  timed.update(event);
  if (format == OutputFormat::kJson) {
    *console.out << JsonLine(timed) << "\n";
  } else {
    *console.out << "---\n" << YamlText(timed);
  }
}

std::string UtcTime(absl::Time time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E*SZ", time, absl::UTCTimeZone());
}

std::string JsonLine(const Json& value) {
  return EscapeC1(value.dump(-1, ' ', false, Json::error_handler_t::replace));
}

std::string JsonText(const Json& value) {
  return EscapeC1(value.dump(2, ' ', false, Json::error_handler_t::replace));
}

std::string YamlText(const Json& value) {
  YAML::Emitter out;
  Emit(&out, value);
  return absl::StrCat(out.c_str(), "\n");
}

}  // namespace confstream
