#include "client/cli/display.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "server/base/text.h"
#include "server/snapshot/violation.h"

namespace confstream {
namespace {

bool IsC1(absl::string_view rest) {
  return rest.size() >= 2 && rest[0] == '\xc2' && static_cast<uint8_t>(rest[1]) >= 0x80 &&
         static_cast<uint8_t>(rest[1]) < 0xa0;
}

}  // namespace

std::string SafeForTerminal(absl::string_view text) {
  std::string out;
  size_t invalid = FindInvalidUtf8(text);
  for (size_t i = 0; i < text.size(); ++i) {
    const uint8_t byte = static_cast<uint8_t>(text[i]);
    if (i == invalid) {
      absl::StrAppendFormat(&out, "\\x%02x", byte);
      const size_t next = FindInvalidUtf8(text.substr(i + 1));
      invalid = next == absl::string_view::npos ? next : i + 1 + next;
    } else if ((byte < 0x20 && byte != '\t') || byte == 0x7f) {
      absl::StrAppendFormat(&out, "\\x%02x", byte);
    } else if (IsC1(text.substr(i))) {
      ++i;
      absl::StrAppendFormat(&out, "\\x%02x", static_cast<uint8_t>(text[i]));
    } else {
      out += text[i];
    }
  }
  return out;
}

std::string ShortDigest(absl::string_view digest) {
  if (digest.empty()) return "-";
  return SafeForTerminal(absl::StripPrefix(digest, "sha256:").substr(0, 12));
}

std::string HumanBytes(int64_t bytes) {
  static constexpr const char* kUnits[] = {"KiB", "MiB", "GiB", "TiB"};
  if (bytes < 1024) return absl::StrCat(bytes, " B");
  double value = static_cast<double>(bytes) / 1024;
  size_t unit = 0;
  while (value >= 1024 && unit + 1 < std::size(kUnits)) {
    value /= 1024;
    ++unit;
  }
  return absl::StrFormat("%.*f %s", value < 10 ? 1 : 0, value, kUnits[unit]);
}

absl::Time FromProto(const google::protobuf::Timestamp& time) {
  return absl::FromUnixSeconds(time.seconds()) + absl::Nanoseconds(time.nanos());
}

void ToProto(absl::Duration duration, google::protobuf::Duration* out) {
  const int64_t seconds = absl::IDivDuration(duration, absl::Seconds(1), &duration);
  out->set_seconds(seconds);
  out->set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(duration)));
}

std::string LocalTime(absl::Time time) {
  return absl::FormatTime("%Y-%m-%d %H:%M:%S", time, absl::LocalTimeZone());
}

std::string ViolationText(const v1::Violation& violation) {
  return SafeForTerminal(TextOf(Violation{violation.path(), violation.line(), violation.column(),
                                          violation.rule(), violation.message()}));
}

std::string NothingYetText(absl::string_view source, const v1::SourceStatus& status) {
  std::string text = absl::StrCat("source ", SafeForTerminal(source),
                                  " has no valid content yet, it is ", ShortName(status.state()));
  if (status.violations().empty()) return text;
  absl::StrAppend(&text, ": ", ViolationText(status.violations(0)));
  const int64_t more = status.violations_total() - 1;
  if (more > 0) absl::StrAppend(&text, ", and ", more, " more");
  return text;
}

std::string OriginText(const v1::ResponseHeader& header) {
  switch (header.origin()) {
    case v1::SNAPSHOT_ORIGIN_UNSPECIFIED:
      return "-";
    case v1::SNAPSHOT_ORIGIN_FILES:
      return "files";
    case v1::SNAPSHOT_ORIGIN_ROLLBACK:
      return absl::StrCat("rollback of ", header.rolled_back_to());
    default:
      return ShortName(header.origin());
  }
}

std::string PinText(const v1::Pin& pin) {
  std::string text = absl::StrCat("pinned to the content of version ", pin.version());
  if (pin.has_pin_time()) {
    absl::StrAppend(&text, " since ", LocalTime(FromProto(pin.pin_time())));
  }
  if (pin.has_expire_time()) {
    absl::StrAppend(&text, ", until ", LocalTime(FromProto(pin.expire_time())));
  }
  if (!pin.reason().empty()) absl::StrAppend(&text, ": ", SafeForTerminal(pin.reason()));
  return text;
}

std::string PinEndText(v1::PinEndReason reason) {
  switch (reason) {
    case v1::PIN_END_REASON_NEW_CONTENT:
      return ", since the files have got new valid content";
    case v1::PIN_END_REASON_UNPINNED:
      return ", since an operator asked for it";
    case v1::PIN_END_REASON_EXPIRED:
      return ", since it has expired";
    default:
      return "";
  }
}

std::vector<std::string> Remarks(absl::string_view source, const v1::SourceStatus& status) {
  std::vector<std::string> remarks;
  const std::string name = SafeForTerminal(source);
  if (status.has_pin()) remarks.push_back(absl::StrCat(name, " is ", PinText(status.pin())));
  if (status.history().state() == v1::HISTORY_STATE_FAILING) {
    remarks.push_back(absl::StrCat("the history of ", name, " is not written to disk: ",
                                   SafeForTerminal(status.history().problem())));
  }
  if (!status.polling_reason().empty()) {
    remarks.push_back(absl::StrCat(name, " is polled: ", SafeForTerminal(status.polling_reason())));
  }
  if (!status.schema_problem().empty()) {
    remarks.push_back(absl::StrCat(
        "the schema files of ", name,
        " have changed, and are not in use; the schemas before stay: ",
        SafeForTerminal(absl::StrReplaceAll(status.schema_problem(), {{"\n", "; "}}))));
  }
  return remarks;
}

Color ColorOf(v1::SourceState state) {
  switch (state) {
    case v1::SOURCE_STATE_SERVING:
      return Color::kGreen;
    case v1::SOURCE_STATE_DEGRADED:
    case v1::SOURCE_STATE_WAITING:
      return Color::kYellow;
    default:
      return Color::kRed;
  }
}

std::string ErrorMessage(const absl::Status& status) {
  absl::string_view message = status.message();
  if (absl::StartsWith(message, "failed to connect to all addresses")) {
    const size_t cause = message.rfind(": ");
    if (cause != absl::string_view::npos) message.remove_prefix(cause + 2);
  }
  return SafeForTerminal(message);
}

std::string ErrorText(const absl::Status& status) {
  return absl::StrCat(absl::StatusCodeToString(status.code()), ": ", ErrorMessage(status));
}

}  // namespace confstream
