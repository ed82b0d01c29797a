#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "client/cli/commands.h"
#include "client/cli/connection_notes.h"
#include "client/cli/display.h"
#include "client/cli/exit_code.h"
#include "client/cli/interrupter.h"
#include "client/cli/watch_printers.h"
#include "client/cpp/connection.h"
#include "client/cpp/source_watch.h"

namespace confstream {
namespace {

// Has every event printed, tells the person about the connection, and ends the watch when enough
// was printed or nobody reads it.
class WatchReport final : public WatchObserver {
 public:
  WatchReport(const Invocation& invocation, WatchObserver* printer, const Console& console)
      : invocation_(invocation),
        printer_(printer),
        console_(console),
        notes_(invocation.server, console) {}

  void EndWith(SourceWatch* watch) { watch_ = watch; }

  const ConnectionNotes& notes() const { return notes_; }
  // What the command line asked to wait for has come.
  bool complete() const {
    if (invocation_.count > 0) return snapshots_ >= invocation_.count;
    return !invocation_.until_in_sync;
  }

  void OnConnected(const std::string& watch_id) override {
    resumed_ = notes_.disconnected();
    notes_.OnConnected();
    printer_->OnConnected(watch_id);
    AfterEvent();
  }
  void OnSnapshot(const std::shared_ptr<const ReceivedSnapshot>& snapshot) override {
    printer_->OnSnapshot(snapshot);
    resumed_ = false;
    ++snapshots_;
    AfterEvent();
    if (invocation_.count > 0 && snapshots_ >= invocation_.count) watch_->Stop();
  }
  void OnStatus(const v1::ResponseHeader& header, const v1::SourceStatus& status) override {
    notes_.OnStatus(header, status);
    printer_->OnStatus(header, status);
    AfterEvent();
  }
  void OnHeartbeat(const v1::ResponseHeader& header, bool in_sync) override {
    if (resumed_ && in_sync) {
      console_.Say(absl::StrCat("nothing was missed: what was printed last is version ",
                                header.version(), ", the newest"));
    }
    resumed_ = false;
    printer_->OnHeartbeat(header, in_sync);
    AfterEvent();
  }
  void OnStale(absl::Duration silence) override {
    notes_.OnStale(silence, "what was printed last");
    printer_->OnStale(silence);
    AfterEvent();
  }
  void OnDisconnected(const absl::Status& why, absl::Duration retry_in) override {
    notes_.OnDisconnected(why);
    printer_->OnDisconnected(why, retry_in);
    AfterEvent();
  }

 private:
  // Every event is out before the next one is waited for.
  void AfterEvent() {
    console_.out->flush();
    if (!console_.out->good()) watch_->Stop();
  }

  const Invocation& invocation_;
  WatchObserver* const printer_;
  const Console& console_;
  ConnectionNotes notes_;
  SourceWatch* watch_ = nullptr;
  int64_t snapshots_ = 0;
  bool resumed_ = false;  // connected again, and nothing said of the content yet
};

SourceWatchOptions OptionsFor(const Invocation& invocation) {
  SourceWatchOptions options;
  v1::WatchRequest& request = options.request;
  request.set_source(invocation.source);
  for (const std::string& glob : invocation.paths) request.add_path_globs(glob);
  for (const std::string& glob : invocation.globs) request.add_path_globs(glob);
  request.set_until_in_sync(invocation.until_in_sync);
  request.set_client_id(invocation.client_id);
  if (invocation.delta) request.set_mode(v1::WATCH_MODE_DELTA);
  request.set_every_version(invocation.every_version);
  if (invocation.heartbeat.has_value()) {
    ToProto(*invocation.heartbeat, request.mutable_heartbeat_interval());
  }
  if (invocation.min_interval.has_value()) {
    ToProto(*invocation.min_interval, request.mutable_min_update_interval());
  }
  options.time_limit = invocation.timeout.value_or(absl::InfiniteDuration());
  return options;
}

}  // namespace

int RunWatch(const Invocation& invocation, const Console& console) {
  const OutputFormat output = invocation.OutputOr(OutputFormat::kTable);
  if (output == OutputFormat::kRaw && invocation.paths.size() + invocation.globs.size() != 1) {
    console.Say("--output raw prints one file: name it, as in `confstream watch " +
                SafeForTerminal(invocation.source) + " PATH --output raw`");
    return kExitError;
  }
  Interrupter interrupter;  // before gRPC starts its threads
  const auto connection = Connection::To(invocation.server);
  if (!connection.ok()) return Fail(console, connection.status(), invocation.server);
  const std::unique_ptr<WatchObserver> printer = MakeWatchPrinter(output, console);
  WatchReport report(invocation, printer.get(), console);
  SourceWatch watch(connection->get(), OptionsFor(invocation), &report);
  report.EndWith(&watch);
  interrupter.Start(console.out_file == nullptr ? -1 : console.out_file->fd(),
                    [&watch] { watch.Stop(); });

  const absl::Status status = watch.Run();
  if (absl::IsDeadlineExceeded(status) && report.notes().connected_ever()) {
    report.notes().SayTimeOver(status);
    return kExitTimeOver;
  }
  if (!status.ok()) return Fail(console, status, invocation.server);
  const std::optional<int> signal = interrupter.signal();
  if (signal.has_value() && !report.complete()) return 128 + *signal;
  return kExitOk;
}

}  // namespace confstream
