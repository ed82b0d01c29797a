#include "client/cli/display.h"

#include "absl/strings/match.h"
#include "absl/strings/str_format.h"
#include "server/base/text.h"

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

std::string LocalTime(absl::Time time) {
  return absl::FormatTime("%Y-%m-%d %H:%M:%S", time, absl::LocalTimeZone());
}

std::string ViolationText(const v1::Violation& violation) {
  std::string text = violation.path().empty() ? "(source)" : violation.path();
  if (violation.line() > 0) absl::StrAppend(&text, ":", violation.line());
  if (violation.line() > 0 && violation.column() > 0) {
    absl::StrAppend(&text, ":", violation.column());
  }
  absl::StrAppend(&text, " ", violation.rule(), ": ", violation.message());
  return SafeForTerminal(text);
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
