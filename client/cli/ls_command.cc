#include "absl/strings/str_cat.h"
#include "client/cli/commands.h"
#include "client/cli/display.h"
#include "client/cli/exit_code.h"
#include "client/cli/queries.h"
#include "client/cli/structured_output.h"
#include "client/cli/table.h"
#include "client/cpp/connection.h"

namespace confstream {
namespace {

void PrintTable(const v1::ListSourcesResponse& sources, const Console& console) {
  Table table({"SOURCE", "STATE", "VERSION", "FILES", "SIZE", "DIGEST", "PUBLISHED", "ORIGIN"},
              {2, 3, 4});
  for (const v1::SourceSummary& source : sources.sources()) {
    const v1::ResponseHeader& header = source.header();
    const v1::SourceState state = source.status().state();
    const bool served = header.version() > 0;
    table.Add({SafeForTerminal(header.source()),
               {ShortName(state), ColorOf(state)},
               served ? absl::StrCat(header.version()) : "-",
               served ? absl::StrCat(source.file_count()) : "-",
               served ? HumanBytes(source.size_bytes()) : "-",
               ShortDigest(header.digest()),
               served ? LocalTime(FromProto(header.publish_time())) : "-",
               OriginText(header)});
  }
  table.Print(console);
  for (const v1::SourceSummary& source : sources.sources()) {
    for (const std::string& remark : Remarks(source.header().source(), source.status())) {
      *console.out << remark << "\n";
    }
  }
}

}  // namespace

int RunLs(const Invocation& invocation, const Console& console) {
  const auto connection = Connection::To(invocation.server);
  if (!connection.ok()) return Fail(console, connection.status(), invocation.server);
  const auto sources = ListSources(connection->get(), invocation.CallTimeout());
  if (!sources.ok()) return Fail(console, sources.status(), invocation.server);

  const OutputFormat output = invocation.OutputOr(OutputFormat::kTable);
  if (output == OutputFormat::kTable) {
    if (sources->sources().empty()) {
      console.Say(absl::StrCat("the server at ", invocation.server, " serves no source"));
    } else {
      PrintTable(*sources, console);
    }
    return kExitOk;
  }
  Json json = Json::object();
  json["sources"] = Json::array();
  for (const v1::SourceSummary& summary : sources->sources()) {
    Json source = Json::object();
    AddHeader(&source, summary.header());
    source["state"] = ShortName(summary.status().state());
    source["file_count"] = summary.file_count();
    source["size_bytes"] = summary.size_bytes();
    if (summary.status().has_pin()) source["pin"] = ToJson(summary.status().pin());
    json["sources"].push_back(std::move(source));
  }
  PrintStructured(json, output, console);
  return kExitOk;
}

}  // namespace confstream
