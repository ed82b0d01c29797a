#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/cli/admin_calls.h"
#include "client/cli/commands.h"
#include "client/cli/display.h"
#include "client/cli/exit_code.h"
#include "client/cli/structured_output.h"
#include "client/cli/table.h"

namespace confstream {
namespace {

std::string ClientName(const v1::Watcher& watcher) {
  return watcher.client_id().empty() ? "-" : SafeForTerminal(watcher.client_id());
}

Table::Cell StateCell(const v1::Watcher& watcher) {
  if (watcher.in_sync()) return {"in sync", Color::kGreen};
  if (watcher.versions_behind() == 0) return {"nothing sent yet", Color::kYellow};
  std::string text = absl::StrCat(watcher.versions_behind(), " behind");
  if (watcher.has_behind_since()) {
    absl::StrAppend(&text, " since ", LocalTime(FromProto(watcher.behind_since())));
  }
  return {text, Color::kYellow};
}

Table::Cell OutcomeCell(const v1::Watcher& watcher) {
  if (!watcher.has_last_report()) return "-";
  const v1::OutcomeReport& report = watcher.last_report();
  return {absl::StrCat(ShortName(report.outcome()), " ", report.version()),
          report.outcome() == v1::OUTCOME_APPLIED ? Color::kGreen : Color::kRed};
}

void PrintTable(const std::vector<v1::Watcher>& watchers, const Console& console) {
  Table table({"SOURCE", "CLIENT", "PEER", "SINCE", "FILES", "VERSION", "STATE", "LAST OUTCOME"},
              {5});
  for (const v1::Watcher& watcher : watchers) {
    table.Add({SafeForTerminal(watcher.source()), ClientName(watcher),
               SafeForTerminal(watcher.peer()), LocalTime(FromProto(watcher.open_time())),
               watcher.path_globs().empty()
                   ? "all"
                   : SafeForTerminal(absl::StrJoin(watcher.path_globs(), " ")),
               watcher.version() > 0 ? absl::StrCat(watcher.version()) : "-", StateCell(watcher),
               OutcomeCell(watcher)});
  }
  table.Print(console);
  bool rejected = false;
  for (const v1::Watcher& watcher : watchers) {
    if (!watcher.has_last_rejection()) continue;
    const v1::OutcomeReport& rejection = watcher.last_rejection();
    if (!std::exchange(rejected, true)) *console.out << "\n";
    *console.out << ClientName(watcher) << " (" << SafeForTerminal(watcher.peer()) << ") "
                 << console.Paint(Color::kRed,
                                  absl::StrCat("rejected version ", rejection.version()))
                 << " of " << SafeForTerminal(watcher.source()) << " at "
                 << LocalTime(FromProto(rejection.report_time())) << ": "
                 << SafeForTerminal(rejection.reason()) << "\n";
  }
}

Json ToJson(const v1::OutcomeReport& report) {
  Json json = {{"version", report.version()}, {"outcome", ShortName(report.outcome())}};
  if (!report.reason().empty()) json["reason"] = report.reason();
  if (report.has_report_time()) json["report_time"] = UtcTime(FromProto(report.report_time()));
  return json;
}

Json ToJson(const v1::Watcher& watcher) {
  Json json = Json::object();
  json["source"] = watcher.source();
  json["watch_id"] = watcher.watch_id();
  json["client_id"] = watcher.client_id();
  json["labels"] = Json::object();
  for (const auto& [key, value] : watcher.labels()) json["labels"][key] = value;
  json["peer"] = watcher.peer();
  json["open_time"] = UtcTime(FromProto(watcher.open_time()));
  json["path_globs"] = Json::array();
  for (const std::string& glob : watcher.path_globs()) json["path_globs"].push_back(glob);
  json["mode"] = ShortName(watcher.mode());
  json["every_version"] = watcher.every_version();
  json["version"] = watcher.version();
  json["in_sync"] = watcher.in_sync();
  json["versions_behind"] = watcher.versions_behind();
  if (watcher.has_behind_since()) json["behind_since"] = UtcTime(FromProto(watcher.behind_since()));
  if (watcher.has_last_report()) json["last_report"] = ToJson(watcher.last_report());
  if (watcher.has_last_rejection()) json["last_rejection"] = ToJson(watcher.last_rejection());
  return json;
}

}  // namespace

int RunWho(const Invocation& invocation, const Console& console) {
  const auto connection = Connection::To(invocation.server);
  if (!connection.ok()) return Fail(console, connection.status(), invocation.server);
  const auto watchers =
      ListWatchers(connection->get(), invocation.source, invocation.CallTimeout());
  if (!watchers.ok()) return FailAdmin(console, watchers.status(), invocation.server);
  const OutputFormat output = invocation.OutputOr(OutputFormat::kTable);
  if (output != OutputFormat::kTable) {
    Json json = Json::object();
    json["watchers"] = Json::array();
    for (const v1::Watcher& watcher : *watchers) json["watchers"].push_back(ToJson(watcher));
    PrintStructured(json, output, console);
  } else if (watchers->empty()) {
    console.Say(invocation.source.empty()
                    ? "nobody watches"
                    : absl::StrCat("nobody watches ", SafeForTerminal(invocation.source)));
  } else {
    PrintTable(*watchers, console);
  }
  return kExitOk;
}

}  // namespace confstream
