#include <utility>

#include "absl/strings/str_cat.h"
#include "client/cli/admin_calls.h"
#include "client/cli/commands.h"
#include "client/cli/display.h"
#include "client/cli/exit_code.h"
#include "client/cli/structured_output.h"
#include "client/cli/table.h"

namespace confstream {
namespace {

void PrintTable(const v1::ListSnapshotsResponse& history, const Console& console) {
  Table table(
      {"", "VERSION", "PUBLISHED", "ORIGIN", "FILES", "CHANGED", "REMOVED", "SIZE", "DIGEST"},
      {1, 4, 5, 6, 7});
  bool served = true;  // the newest is
  for (const v1::SnapshotSummary& summary : history.snapshots()) {
    const v1::ResponseHeader& header = summary.header();
    const Color color = served ? Color::kBold : Color::kNone;
    table.Add({served ? "*" : " ",
               {absl::StrCat(header.version()), color},
               LocalTime(FromProto(header.publish_time())),
               OriginText(header),
               absl::StrCat(summary.file_count()),
               absl::StrCat(summary.changed_file_count()),
               absl::StrCat(summary.removed_file_count()),
               HumanBytes(summary.size_bytes()),
               ShortDigest(header.digest())});
    served = false;
  }
  table.Print(console);
  if (history.has_pin()) *console.out << "\n" << PinText(history.pin()) << "\n";
}

Json HistoryToJson(const std::string& source, const v1::ListSnapshotsResponse& history) {
  Json json = Json::object();
  json["source"] = source;
  if (history.has_pin()) json["pin"] = ToJson(history.pin());
  json["more"] = !history.next_page_token().empty();
  json["snapshots"] = Json::array();
  bool served = true;
  for (const v1::SnapshotSummary& summary : history.snapshots()) {
    Json snapshot = Json::object();
    AddHeader(&snapshot, summary.header());
    snapshot["served"] = std::exchange(served, false);
    snapshot["file_count"] = summary.file_count();
    snapshot["size_bytes"] = summary.size_bytes();
    snapshot["changed_file_count"] = summary.changed_file_count();
    snapshot["removed_file_count"] = summary.removed_file_count();
    json["snapshots"].push_back(std::move(snapshot));
  }
  return json;
}

}  // namespace

int RunHistory(const Invocation& invocation, const Console& console) {
  const auto connection = Connection::To(invocation.server);
  if (!connection.ok()) return Fail(console, connection.status(), invocation.server);
  const auto history = ListSnapshots(connection->get(), invocation.source, invocation.limit,
                                     invocation.CallTimeout());
  if (!history.ok()) return FailAdmin(console, history.status(), invocation.server);
  const OutputFormat output = invocation.OutputOr(OutputFormat::kTable);
  if (output != OutputFormat::kTable) {
    PrintStructured(HistoryToJson(invocation.source, *history), output, console);
    return kExitOk;
  }
  if (history->snapshots().empty()) {
    console.Say(absl::StrCat("source ", SafeForTerminal(invocation.source),
                             " has no version yet: `confstream status ",
                             SafeForTerminal(invocation.source), "` says why"));
    return kExitOk;
  }
  PrintTable(*history, console);
  if (!history->next_page_token().empty()) {
    console.Say(
        absl::StrCat("there are older versions: --limit ", 10 * invocation.limit, " shows more"));
  }
  return kExitOk;
}

}  // namespace confstream
