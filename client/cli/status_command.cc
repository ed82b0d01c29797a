#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "client/cli/commands.h"
#include "client/cli/display.h"
#include "client/cli/exit_code.h"
#include "client/cli/queries.h"
#include "client/cli/structured_output.h"
#include "client/cli/table.h"
#include "client/cpp/connection.h"

namespace confstream {
namespace {

constexpr char kServing[] = "SERVING";

// What `status` found out.
struct ServerStatus {
  std::string address;
  std::string server_health;  // of the server as a whole
  std::string config_health;  // of confstream.v1.ConfigService: of all required sources
  v1::ConfigStatus config;
  std::vector<v1::SourceSummary> sources;

  bool Healthy() const {
    return server_health == kServing && config_health == kServing && !config.has_refusal_time() &&
           std::all_of(sources.begin(), sources.end(), [](const v1::SourceSummary& source) {
             return source.status().state() == v1::SOURCE_STATE_SERVING;
           });
  }
};

absl::StatusOr<ServerStatus> Query(Connection* connection, const Invocation& invocation) {
  ServerStatus status;
  status.address = connection->address();
  auto health = CheckHealth(connection, "", invocation.CallTimeout());
  if (!health.ok()) return health.status();
  status.server_health = *std::move(health);
  health = CheckHealth(connection, "confstream.v1.ConfigService", invocation.CallTimeout());
  if (!health.ok()) return health.status();
  status.config_health = *std::move(health);
  auto sources = ListSources(connection, invocation.CallTimeout());
  if (!sources.ok()) return sources.status();
  status.config = std::move(*sources->mutable_config_status());
  for (v1::SourceSummary& source : *sources->mutable_sources()) {
    if (invocation.source.empty() || source.header().source() == invocation.source) {
      status.sources.push_back(std::move(source));
    }
  }
  if (!invocation.source.empty() && status.sources.empty()) {
    return absl::NotFoundError(absl::StrCat("the server has no source `", invocation.source,
                                            "`: `confstream ls` lists those it has"));
  }
  return status;
}

// Each line indented.
void PrintLines(absl::string_view text, const Console& console) {
  for (const absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    *console.out << "  " << SafeForTerminal(line) << "\n";
  }
}

void PrintTrouble(const v1::SourceSummary& source, const Console& console) {
  const v1::SourceStatus& status = source.status();
  const std::string name = SafeForTerminal(source.header().source());
  for (const std::string& remark : Remarks(source.header().source(), status)) {
    *console.out << "\n" << remark << "\n";
  }
  if (status.violations_total() == 0 && status.violations().empty()) return;
  *console.out << "\nwhat is wrong with " << console.Paint(Color::kBold, name) << ":\n";
  for (const v1::Violation& violation : status.violations()) {
    *console.out << "  " << ViolationText(violation) << "\n";
  }
  const int64_t more = status.violations_total() - status.violations_size();
  if (more > 0) *console.out << "  and " << more << " more\n";
}

// "on disk", "in memory", or which of them is where: sensitive sources are in memory always.
std::string HistoryText(const std::vector<v1::SourceSummary>& sources) {
  std::vector<std::string> in_memory;
  for (const v1::SourceSummary& source : sources) {
    if (source.status().history().state() == v1::HISTORY_STATE_MEMORY) {
      in_memory.push_back(SafeForTerminal(source.header().source()));
    }
  }
  if (in_memory.empty()) return "on disk";
  if (in_memory.size() < sources.size()) {
    return absl::StrCat("on disk; in memory: ", absl::StrJoin(in_memory, ", "));
  }
  return "in memory: it ends with the server unless that is started with --state-dir DIR";
}

void PrintTable(const ServerStatus& status, const Console& console) {
  const auto health = [&console](const std::string& said) {
    return console.Paint(said == kServing ? Color::kGreen : Color::kRed, said);
  };
  *console.out << "server " << status.address << ": " << health(status.server_health)
               << ", required sources: " << health(status.config_health) << "\n";
  if (status.config.has_refusal_time()) {
    *console.out << "configuration: " << console.Paint(Color::kRed, "REFUSED") << " at "
                 << LocalTime(FromProto(status.config.refusal_time())) << "; that of "
                 << LocalTime(FromProto(status.config.load_time()))
                 << " stays: mend it, and send SIGHUP again\n";
    PrintLines(status.config.refusal_reason(), console);
  }
  if (status.sources.empty()) return;
  *console.out << "history: " << HistoryText(status.sources) << "\n\n";
  Table table({"SOURCE", "STATE", "SINCE", "VERSION", "ORIGIN", "DETECTION", "VERIFIED"}, {3});
  for (const v1::SourceSummary& summary : status.sources) {
    const v1::SourceStatus& source = summary.status();
    table.Add(
        {SafeForTerminal(summary.header().source()),
         {ShortName(source.state()), ColorOf(source.state())},
         source.has_state_since() ? LocalTime(FromProto(source.state_since())) : "-",
         source.served_version() > 0 ? absl::StrCat(source.served_version()) : "-",
         OriginText(summary.header()),
         ShortName(source.change_detection()),
         source.has_verified_time() ? LocalTime(FromProto(source.verified_time())) : "never"});
  }
  table.Print(console);
  for (const v1::SourceSummary& summary : status.sources) PrintTrouble(summary, console);
}

Json ToJson(const ServerStatus& status) {
  Json json = Json::object();
  json["server"] = {{"address", status.address},
                    {"health", status.server_health},
                    {"config_service_health", status.config_health}};
  json["healthy"] = status.Healthy();
  json["config_status"] = Json::object();
  Json& config = json["config_status"];
  if (status.config.has_load_time()) {
    config["load_time"] = UtcTime(FromProto(status.config.load_time()));
  }
  if (status.config.has_refusal_time()) {
    config["refusal_time"] = UtcTime(FromProto(status.config.refusal_time()));
    config["refusal_reason"] = status.config.refusal_reason();
  }
  json["sources"] = Json::array();
  for (const v1::SourceSummary& summary : status.sources) {
    Json source = Json::object();
    AddHeader(&source, summary.header());
    AddStatus(&source, summary.status());
    json["sources"].push_back(std::move(source));
  }
  return json;
}

int RunHealth(Connection* connection, const Invocation& invocation, const Console& console) {
  const auto health = CheckHealth(connection, "", invocation.CallTimeout());
  if (!health.ok()) return Fail(console, health.status(), invocation.server);
  *console.out << *health << "\n";
  return *health == kServing ? kExitOk : kExitNotServing;
}

}  // namespace

int RunStatus(const Invocation& invocation, const Console& console) {
  const auto connection = Connection::To(invocation.server);
  if (!connection.ok()) return Fail(console, connection.status(), invocation.server);
  if (invocation.health) return RunHealth(connection->get(), invocation, console);
  const auto status = Query(connection->get(), invocation);
  if (!status.ok()) return Fail(console, status.status(), invocation.server);
  const OutputFormat output = invocation.OutputOr(OutputFormat::kTable);
  if (output == OutputFormat::kTable) {
    PrintTable(*status, console);
  } else {
    PrintStructured(ToJson(*status), output, console);
  }
  return status->Healthy() ? kExitOk : kExitNotServing;
}

}  // namespace confstream
