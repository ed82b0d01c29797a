#include <algorithm>
#include <cstdint>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "client/cli/admin_calls.h"
#include "client/cli/commands.h"
#include "client/cli/display.h"
#include "client/cli/exit_code.h"
#include "client/cli/file_diff.h"
#include "client/cli/structured_output.h"

namespace confstream {
namespace {

// DiffSnapshots leaves out larger files, and those of sensitive sources.
constexpr int64_t kMaxDiffedFileBytes = 256 << 10;

std::string SideText(const v1::ResponseHeader& header) {
  return absl::StrCat("version ", header.version(), " (",
                      LocalTime(FromProto(header.publish_time())), ", ", OriginText(header), ")");
}

void PrintHead(const v1::DiffSnapshotsResponse& page, const Console& console) {
  *console.out << console.Paint(
                      Color::kBold,
                      absl::StrCat(SafeForTerminal(page.to().source()), ": ",
                                   page.has_from() ? SideText(page.from())
                                                   : "nothing before the oldest retained version",
                                   " -> ", SideText(page.to())))
               << "\n";
}

void PrintChange(const v1::FileChange& change, const Console& console) {
  if (change.content_omitted()) {
    const auto size = [](bool present, const v1::ConfigFile& file) {
      return present ? std::optional<int64_t>(file.size_bytes()) : std::nullopt;
    };
    const bool large = std::max(change.from_file().size_bytes(), change.to_file().size_bytes()) >
                       kMaxDiffedFileBytes;
    PrintUnshownDiff(large ? "Large files" : "Sensitive files", change.path(),
                     size(change.has_from_file(), change.from_file()),
                     size(change.has_to_file(), change.to_file()), console);
    return;
  }
  const auto content = [](bool present, const v1::ConfigFile& file) {
    return present ? std::optional<absl::string_view>(file.content()) : std::nullopt;
  };
  PrintFileDiff(change.path(), content(change.has_from_file(), change.from_file()),
                content(change.has_to_file(), change.to_file()), console);
}

Json ToJson(const v1::FileChange& change) {
  Json json = Json::object();
  json["path"] = change.path();
  json["kind"] = ShortName(change.kind());
  const bool omitted = change.content_omitted();
  if (change.has_from_file()) json["from"] = FileToJson(change.from_file(), !omitted);
  if (change.has_to_file()) json["to"] = FileToJson(change.to_file(), !omitted);
  json["content_omitted"] = omitted;
  return json;
}

}  // namespace

int RunDiff(const Invocation& invocation, const Console& console) {
  const auto connection = Connection::To(invocation.server);
  if (!connection.ok()) return Fail(console, connection.status(), invocation.server);
  v1::DiffSnapshotsRequest request;
  request.set_source(invocation.source);
  request.set_from_version(invocation.from_version);
  request.set_to_version(invocation.to_version);
  request.set_include_content(true);
  for (const std::string& glob : invocation.globs) request.add_path_globs(glob);

  const OutputFormat output = invocation.OutputOr(OutputFormat::kTable);
  Json json = Json::object();
  bool first = true, differ = false;
  const absl::Status status = DiffSnapshots(connection->get(), request, invocation.CallTimeout(),
                                            [&](const v1::DiffSnapshotsResponse& page) {
                                              if (first && output == OutputFormat::kTable) {
                                                PrintHead(page, console);
                                              } else if (first) {
                                                if (page.has_from())
                                                  AddHeader(&(json["from"] = {}), page.from());
                                                AddHeader(&(json["to"] = {}), page.to());
                                                json["changes"] = Json::array();
                                              }
                                              first = false;
                                              differ = differ || !page.changes().empty();
                                              for (const v1::FileChange& change : page.changes()) {
                                                if (output == OutputFormat::kTable) {
                                                  PrintChange(change, console);
                                                } else {
                                                  json["changes"].push_back(ToJson(change));
                                                }
                                              }
                                            });
  if (!status.ok()) return FailAdmin(console, status, invocation.server);
  if (output != OutputFormat::kTable) {
    PrintStructured(json, output, console);
  } else if (!differ) {
    *console.out << "the content is the same\n";
  }
  return kExitOk;
}

}  // namespace confstream
