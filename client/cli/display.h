// How values of the API are shown to people. Nothing that comes from a server reaches a terminal
// but through SafeForTerminal.

#ifndef CONFSTREAM_CLIENT_CLI_DISPLAY_H_
#define CONFSTREAM_CLIENT_CLI_DISPLAY_H_

#include <google/protobuf/duration.pb.h>
#include <google/protobuf/generated_enum_reflection.h>
#include <google/protobuf/timestamp.pb.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "client/cli/console.h"
#include "confstream/v1/config_service.pb.h"

namespace confstream {

// `text` without what a terminal would obey: C0 and C1 control characters but tab, and bytes that
// are not UTF-8, appear as \xNN. Backslashes stay, so this is for reading, not for parsing.
std::string SafeForTerminal(absl::string_view text);

// The first 12 hex digits of a "sha256:<hex>"; "-" if it is empty.
std::string ShortDigest(absl::string_view digest);

// 17 B, 1.2 KiB, 20 MiB.
std::string HumanBytes(int64_t bytes);

absl::Time FromProto(const google::protobuf::Timestamp& time);
void ToProto(absl::Duration duration, google::protobuf::Duration* out);
// 2026-01-31 10:00:00, in the local time zone.
std::string LocalTime(absl::Time time);

// `PATH:LINE:COLUMN: RULE: MESSAGE`, as the server writes it, and as editors and CI systems take it
// apart.
std::string ViolationText(const v1::Violation& violation);

// "source app has no valid content yet, it is WAITING: " and the first violation.
std::string NothingYetText(absl::string_view source, const v1::SourceStatus& status);

// "files", or "rollback of 3"; "-" if there is no snapshot.
std::string OriginText(const v1::ResponseHeader& header);
// "pinned to the content of version 3 since ..., until ...: reason".
std::string PinText(const v1::Pin& pin);
// Why a pin ended, to follow "the pin has ended"; empty if the server does not say.
std::string PinEndText(v1::PinEndReason reason);
// What there is to say about a source besides its state and violations, a sentence each: that it is
// pinned, that its history is not on disk.
std::vector<std::string> Remarks(absl::string_view source, const v1::SourceStatus& status);

Color ColorOf(v1::SourceState state);

// What is said of an error that a call or stream ended with, without its code. What gRPC says of a
// connection that it could not make is cut down to the cause, "Connection refused".
std::string ErrorMessage(const absl::Status& status);
// "NOT_FOUND: " and the ErrorMessage.
std::string ErrorText(const absl::Status& status);

// The name of an enum value without the prefix that all values of its type share: SERVING for
// SOURCE_STATE_SERVING. A number that this program does not know appears as UNKNOWN_7.
template <typename Enum>
std::string ShortName(Enum value) {
  const auto* const type = google::protobuf::GetEnumDescriptor<Enum>();
  const auto* const known = type->FindValueByNumber(value);
  if (known == nullptr) return absl::StrCat("UNKNOWN_", static_cast<int>(value));
  const absl::string_view prefix =
      absl::StripSuffix(type->FindValueByNumber(0)->name(), "UNSPECIFIED");
  return std::string(absl::StripPrefix(known->name(), prefix));
}

}  // namespace confstream

#endif  // CONFSTREAM_CLIENT_CLI_DISPLAY_H_
