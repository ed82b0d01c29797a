#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "client/cli/admin_calls.h"
#include "client/cli/commands.h"
#include "client/cli/display.h"
#include "client/cli/exit_code.h"
#include "client/cli/structured_output.h"
#include "client/cli/table.h"

namespace confstream {
namespace {

// 10:00:00.123, in the local time zone: events follow one another closely.
std::string TimeOfDay(absl::Time time) {
  return absl::FormatTime("%m-%d %H:%M:%E3S", time, absl::LocalTimeZone());
}

void PrintTable(const v1::ListEventsResponse& response, const Console& console) {
  Table table({"TIME", "KIND", "VERSION", "TIMES", "WHAT"}, {2, 3});
  for (const v1::SourceEvent& event : response.events()) {
    const bool is_version = event.kind() == v1::SOURCE_EVENT_KIND_VERSION && event.version() > 0;
    table.Add({TimeOfDay(FromProto(event.event_time())),
               {absl::AsciiStrToLower(ShortName(event.kind())),
                is_version ? Color::kGreen : Color::kNone},
               event.version() > 0 ? absl::StrCat(event.version()) : "",
               event.count() > 1 ? absl::StrCat(event.count()) : "",
               SafeForTerminal(event.detail())});
  }
  table.Print(console);
}

Json EventsToJson(const std::string& source, const v1::ListEventsResponse& response) {
  Json json = Json::object();
  json["source"] = source;
  json["events"] = Json::array();
  for (const v1::SourceEvent& event : response.events()) {
    Json object = Json::object();
    object["event_time"] = UtcTime(FromProto(event.event_time()));
    object["kind"] = ShortName(event.kind());
    object["detail"] = event.detail();
    object["count"] = event.count();
    if (event.version() > 0) object["version"] = event.version();
    json["events"].push_back(std::move(object));
  }
  return json;
}

}  // namespace

int RunEvents(const Invocation& invocation, const Console& console) {
  const auto connection = Connection::To(invocation.server);
  if (!connection.ok()) return Fail(console, connection.status(), invocation.server);
  const auto events = ListEvents(connection->get(), invocation.source, invocation.CallTimeout());
  if (!events.ok()) return FailAdmin(console, events.status(), invocation.server);
  const OutputFormat output = invocation.OutputOr(OutputFormat::kTable);
  if (output == OutputFormat::kTable) {
    PrintTable(*events, console);
  } else {
    PrintStructured(EventsToJson(invocation.source, *events), output, console);
  }
  return kExitOk;
}

}  // namespace confstream
