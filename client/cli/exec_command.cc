#include <memory>
#include <thread>

#include "absl/strings/str_cat.h"
#include "client/cli/command_runner.h"
#include "client/cli/commands.h"
#include "client/cli/connection_notes.h"
#include "client/cli/display.h"
#include "client/cli/exit_code.h"
#include "client/cli/newest_version.h"
#include "client/cli/private_directory.h"
#include "client/cli/signal_queue.h"
#include "client/cpp/atomic_directory.h"
#include "client/cpp/connection.h"
#include "client/cpp/outcome_reporter.h"
#include "client/cpp/source_watch.h"

namespace confstream {
namespace {

// Below a private directory: where the files are.
constexpr char kFilesDirectory[] = "files";

// Hands what arrives to the runner.
class VersionCourier final : public WatchObserver {
 public:
  VersionCourier(std::string server, OutcomeReporter* reporter, NewestVersion* newest,
                 const Console& console)
      : notes_(std::move(server), console), reporter_(reporter), newest_(newest) {}

  void OnConnected(const std::string& watch_id) override {
    reporter_->OnConnected(watch_id);
    notes_.OnConnected();
  }
  void OnSnapshot(const std::shared_ptr<const ReceivedSnapshot>& snapshot) override {
    reporter_->OnSnapshot(snapshot->header);
    newest_->Put(snapshot);
  }
  void OnStatus(const v1::ResponseHeader& header, const v1::SourceStatus& status) override {
    notes_.OnStatus(header, status);
    notes_.SayNothingYet();
  }
  void OnHeartbeat(const v1::ResponseHeader& header, bool in_sync) override {
    reporter_->OnHeartbeat(header, in_sync);
  }
  void OnStale(absl::Duration silence) override {
    notes_.OnStale(silence, "what the command was told last");
  }
  void OnDisconnected(const absl::Status& why, absl::Duration) override {
    notes_.OnDisconnected(why);
  }

 private:
  ConnectionNotes notes_;
  OutcomeReporter* const reporter_;
  NewestVersion* const newest_;
};

int Follow(const Invocation& invocation, const std::string& directory_path, Connection* connection,
           SignalQueue* signals, const Console& console) {
  const auto directory = AtomicDirectory::Open(directory_path, invocation.file_mode);
  if (!directory.ok()) {
    console.Say(ErrorMessage(directory.status()));
    return kExitError;
  }
  SourceWatchOptions options;
  options.request.set_source(invocation.source);
  options.request.set_client_id(invocation.client_id);
  options.request.set_mode(v1::WATCH_MODE_DELTA);
  for (const std::string& glob : invocation.globs) options.request.add_path_globs(glob);
  OutcomeReporter reporter(connection);
  NewestVersion newest;
  VersionCourier courier(invocation.server, &reporter, &newest, console);
  SourceWatch watch(connection, options, &courier);
  CommandRunner runner({invocation.source, invocation.command_line, invocation.allow_empty,
                        invocation.signal, invocation.timeout.value_or(absl::InfiniteDuration())},
                       directory->get(), &reporter, &newest, signals, console);

  std::thread watcher([&watch, &newest] { newest.End(watch.Run()); });
  const std::optional<int> code = runner.Run();
  watch.Stop();
  watcher.join();
  return code.has_value() ? *code : Fail(console, *newest.end(), invocation.server);
}

}  // namespace

int RunExec(const Invocation& invocation, const Console& console) {
  if (invocation.command_line.empty()) {
    const std::string source = SafeForTerminal(invocation.source);
    console.Say(absl::StrCat(
        "exec ", source, " lacks the COMMAND to run: write it after `--`, as in `confstream exec ",
        source, " -- COMMAND ARGUMENT...`"));
    return kExitError;
  }
  if (invocation.signal.has_value() && invocation.timeout.has_value()) {
    console.Say(
        "--timeout limits one run of COMMAND, and with --signal there is only one: leave "
        "one of them out");
    return kExitError;
  }
  SignalQueue signals({SIGINT, SIGTERM, SIGHUP});  // before gRPC starts its threads
  const auto connection = Connection::To(invocation.server);
  if (!connection.ok()) return Fail(console, connection.status(), invocation.server);
  if (!invocation.directory.empty()) {
    return Follow(invocation, invocation.directory, connection->get(), &signals, console);
  }
  const auto own = PrivateDirectory::Make();
  if (!own.ok()) {
    console.Say(ErrorMessage(own.status()));
    return kExitError;
  }
  // The directory itself is locked for as long as it is used, and that below it while it is kept.
  return Follow(invocation, absl::StrCat((*own)->path(), "/", kFilesDirectory), connection->get(),
                &signals, console);
}

}  // namespace confstream
