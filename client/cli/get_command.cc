#include <utility>

#include "absl/strings/str_cat.h"
#include "client/cli/commands.h"
#include "client/cli/display.h"
#include "client/cli/exit_code.h"
#include "client/cli/queries.h"
#include "client/cli/structured_output.h"
#include "client/cli/table.h"
#include "client/cpp/connection.h"
#include "client/cpp/source_watch.h"

namespace confstream {
namespace {

// Waits for the newest content, but not for a source that has none.
class NewestContent final : public WatchObserver {
 public:
  void StopWhenEmpty(SourceWatch* watch) { watch_ = watch; }

  void OnSnapshot(const std::shared_ptr<const ReceivedSnapshot>& snapshot) override {
    snapshot_ = snapshot;
  }
  void OnStatus(const v1::ResponseHeader&, const v1::SourceStatus& status) override {
    if (status.served_version() > 0 || snapshot_ != nullptr) return;
    nothing_yet_ = status;
    watch_->Stop();
  }

  const std::shared_ptr<const ReceivedSnapshot>& snapshot() const { return snapshot_; }
  const v1::SourceStatus& nothing_yet() const { return nothing_yet_; }

 private:
  SourceWatch* watch_ = nullptr;
  std::shared_ptr<const ReceivedSnapshot> snapshot_;
  v1::SourceStatus nothing_yet_;
};

// The glob that matches `path` and nothing else.
std::string LiteralGlob(const std::string& path) {
  std::string glob;
  for (const char c : path) {
    if (c == '*' || c == '\\') glob += '\\';
    glob += c;
  }
  return glob;
}

// A retained version, in one message.
absl::StatusOr<std::shared_ptr<const ReceivedSnapshot>> GetVersion(Connection* connection,
                                                                   const Invocation& invocation) {
  v1::GetSnapshotRequest request;
  request.set_source(invocation.source);
  request.set_version(invocation.version);
  for (const std::string& path : invocation.paths) request.add_path_globs(LiteralGlob(path));
  auto response = GetSnapshot(connection, request, invocation.CallTimeout());
  if (!response.ok()) return response.status();
  // As if a stream had brought it, so that its digests are checked.
  v1::WatchResponse message;
  message.set_in_sync(true);
  *message.mutable_header() = std::move(*response->mutable_header());
  *message.mutable_snapshot() = std::move(*response->mutable_snapshot());
  return SnapshotAssembler().Take(message);
}

int FailEmpty(const Invocation& invocation, const v1::SourceStatus& status,
              const Console& console) {
  console.Say(absl::StrCat("source ", SafeForTerminal(invocation.source),
                           " has no valid content yet, it is ", ShortName(status.state()),
                           status.violations().empty() ? "" : ":"));
  for (const v1::Violation& violation : status.violations()) {
    *console.err << "  " << ViolationText(violation) << "\n";
  }
  return kExitNotServing;
}

void PrintTable(const ReceivedSnapshot& snapshot, const Console& console) {
  Table table({"PATH", "SIZE", "DIGEST", "CHANGED IN", "TYPE"}, {1, 3});
  for (const ReceivedFile& file : snapshot.files) {
    table.Add({SafeForTerminal(file.path), HumanBytes(static_cast<int64_t>(file.content->size())),
               ShortDigest(file.digest.Text()), absl::StrCat(file.last_changed_version),
               SafeForTerminal(file.content_type)});
  }
  *console.out << SafeForTerminal(snapshot.header.source()) << " version "
               << snapshot.header.version() << ", " << SafeForTerminal(snapshot.header.digest())
               << ", published " << LocalTime(FromProto(snapshot.header.publish_time())) << "\n";
  table.Print(console);
}

int Print(const ReceivedSnapshot& snapshot, OutputFormat output, const Console& console) {
  switch (output) {
    case OutputFormat::kTable:
      PrintTable(snapshot, console);
      return kExitOk;
    case OutputFormat::kRaw:
      if (snapshot.files.size() != 1) {
        console.Say(absl::StrCat("--output raw prints one file, and source ",
                                 SafeForTerminal(snapshot.header.source()), " has ",
                                 snapshot.files.size(), ": name one"));
        return kExitError;
      }
      *console.out << *snapshot.files.front().content;
      return kExitOk;
    case OutputFormat::kJson:
    case OutputFormat::kYaml:
      Json json = Json::object();
      AddSnapshot(&json, snapshot);
      PrintStructured(json, output, console);
      return kExitOk;
  }
  return kExitError;
}

int PrintAsked(const ReceivedSnapshot& snapshot, const Invocation& invocation,
               const Console& console) {
  if (!invocation.paths.empty() && snapshot.Find(invocation.paths.front()) == nullptr) {
    console.Say(absl::StrCat("source ", SafeForTerminal(invocation.source), " has no file `",
                             SafeForTerminal(invocation.paths.front()), "` in version ",
                             snapshot.header.version(), " (`confstream get ",
                             SafeForTerminal(invocation.source), "` lists its files)"));
    return kExitNotFound;
  }
  return Print(
      snapshot,
      invocation.OutputOr(invocation.paths.empty() ? OutputFormat::kTable : OutputFormat::kRaw),
      console);
}

}  // namespace

int RunGet(const Invocation& invocation, const Console& console) {
  const auto connection = Connection::To(invocation.server);
  if (!connection.ok()) return Fail(console, connection.status(), invocation.server);
  if (invocation.version > 0) {
    const auto retained = GetVersion(connection->get(), invocation);
    if (!retained.ok()) return Fail(console, retained.status(), invocation.server);
    return PrintAsked(**retained, invocation, console);
  }

  // Watch with until_in_sync: unlike GetSnapshot it takes content of any size.
  SourceWatchOptions options;
  options.request.set_source(invocation.source);
  options.request.set_until_in_sync(true);
  options.request.set_client_id(invocation.client_id);
  for (const std::string& path : invocation.paths) {
    options.request.add_path_globs(LiteralGlob(path));
  }
  options.retry = false;
  options.time_limit = invocation.CallTimeout();
  NewestContent content;
  SourceWatch watch(connection->get(), options, &content);
  content.StopWhenEmpty(&watch);
  const absl::Status status = watch.Run();
  if (!status.ok()) return Fail(console, status, invocation.server);
  if (content.snapshot() == nullptr) return FailEmpty(invocation, content.nothing_yet(), console);
  return PrintAsked(*content.snapshot(), invocation, console);
}

}  // namespace confstream
