// The API's messages as JSON and YAML, for scripts. docs/confstream.md is the contract.

#ifndef CONFSTREAM_CLIENT_CLI_STRUCTURED_OUTPUT_H_
#define CONFSTREAM_CLIENT_CLI_STRUCTURED_OUTPUT_H_

#include <nlohmann/json.hpp>
#include <string>

#include "absl/status/status.h"
#include "client/cli/console.h"
#include "client/cli/invocation.h"
#include "client/cpp/received_snapshot.h"
#include "confstream/v1/config_service.pb.h"

namespace confstream {

using Json = nlohmann::ordered_json;

// The fields of `header`, added to `object`. What is not set is left out.
void AddHeader(Json* object, const v1::ResponseHeader& header);
// The fields of `status`, added to `object`.
void AddStatus(Json* object, const v1::SourceStatus& status);
// Header and files of `snapshot`, added to `object`. Content is a string `content` if it is UTF-8,
// otherwise `content_base64`.
void AddSnapshot(Json* object, const ReceivedSnapshot& snapshot);
// A file as the API sends it; with `with_content` also its content, as AddSnapshot has it.
Json FileToJson(const v1::ConfigFile& file, bool with_content);
Json ToJson(const absl::Status& error);
Json ToJson(const v1::Violation& violation);
Json ToJson(const v1::Pin& pin);

// Prints `value` as JSON or as YAML. REQUIRES: one of these formats.
void PrintStructured(const Json& value, OutputFormat format, const Console& console);
// Prints one of a row of events: a JSON object on a line, or a YAML document. After `type`, its
// first field, comes the time. REQUIRES: one of these formats.
void PrintEvent(const Json& event, OutputFormat format, const Console& console);

// RFC 3339, UTC.
std::string UtcTime(absl::Time time);

// One line, without control characters.
std::string JsonLine(const Json& value);
// Indented.
std::string JsonText(const Json& value);
// A YAML document, without the `---`. Strings are quoted or literal, so that no reader takes one
// for a number or a truth value.
std::string YamlText(const Json& value);

}  // namespace confstream

#endif  // CONFSTREAM_CLIENT_CLI_STRUCTURED_OUTPUT_H_
