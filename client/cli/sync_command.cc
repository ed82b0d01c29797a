#include <memory>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/cli/commands.h"
#include "client/cli/connection_notes.h"
#include "client/cli/display.h"
#include "client/cli/exit_code.h"
#include "client/cli/interrupter.h"
#include "client/cli/put_files.h"
#include "client/cli/structured_output.h"
#include "client/cpp/atomic_directory.h"
#include "client/cpp/connection.h"
#include "client/cpp/outcome_reporter.h"
#include "client/cpp/source_watch.h"

namespace confstream {
namespace {

// Puts what arrives into the directory, and tells the server and the person what became of it. With
// --once it ends the watch after that: the server forgets a stream that has ended, so it would not
// take the report of one that it was asked to end itself (until_in_sync).
class DirectorySync final : public WatchObserver {
 public:
  DirectorySync(const Invocation& invocation, AtomicDirectory* directory, Connection* connection,
                const Console& console)
      : once_(invocation.once),
        allow_empty_(invocation.allow_empty),
        output_(invocation.OutputOr(OutputFormat::kTable)),
        directory_(directory),
        console_(console),
        notes_(invocation.server, console),
        reporter_(connection) {}

  void EndWith(SourceWatch* watch) { watch_ = watch; }

  const ConnectionNotes& notes() const { return notes_; }
  // With --once: the newest content has come, and what became of it was told.
  bool done() const { return done_; }
  // What came last is in the directory.
  bool applied() const { return applied_; }

  void OnConnected(const std::string& watch_id) override {
    notes_.OnConnected();
    reporter_.OnConnected(watch_id);
  }
  void OnSnapshot(const std::shared_ptr<const ReceivedSnapshot>& snapshot) override {
    reporter_.OnSnapshot(snapshot->header);
    newest_ = snapshot;
    failure_ = absl::OkStatus();
    Apply();
    for (const std::string& glob : snapshot->missing_globs) {
      if (!applied_) break;  // then that was said, or there is worse to say
      console_.Say(absl::StrCat("no file of version ", snapshot->header.version(), " matches `",
                                SafeForTerminal(glob), "`"));
    }
    EndIfDone(snapshot->in_sync);
  }
  void OnStatus(const v1::ResponseHeader& header, const v1::SourceStatus& status) override {
    notes_.OnStatus(header, status);
    notes_.SayNothingYet();
  }
  void OnHeartbeat(const v1::ResponseHeader& header, bool in_sync) override {
    // Space may be there again, or what was in the way be gone.
    if (newest_ != nullptr && !applied_) Apply();
    reporter_.OnHeartbeat(header, in_sync);
    EndIfDone(in_sync && newest_ != nullptr);
  }
  void OnStale(absl::Duration silence) override {
    notes_.OnStale(silence, absl::StrCat("the content of ", SafeForTerminal(directory_->path())));
  }
  void OnDisconnected(const absl::Status& why, absl::Duration) override {
    notes_.OnDisconnected(why);
  }

 private:
  void EndIfDone(bool in_sync) {
    if (!once_ || !in_sync) return;
    done_ = true;
    watch_->Stop();
  }

  void Apply() {
    const absl::StatusOr<bool> replaced = PutFiles(*newest_, allow_empty_, directory_);
    applied_ = replaced.ok();
    if (applied_) {
      Tell("applied", *replaced ? "" : "it was there already");
      Report(v1::OUTCOME_APPLIED, "");
    } else if (replaced.status() != failure_) {  // the same failure is told once
      failure_ = replaced.status();
      Tell("rejected", failure_.message());
      Report(v1::OUTCOME_REJECTED, failure_.message());
    }
  }

  void Tell(absl::string_view what, absl::string_view note) const {
    const v1::ResponseHeader& header = newest_->header;
    if (output_ == OutputFormat::kTable) {
      *console_.out << LocalTime(absl::Now()) << "  " << SafeForTerminal(header.source())
                    << "  version " << header.version() << "  " << ShortDigest(header.digest())
                    << "  " << console_.Paint(applied_ ? Color::kGreen : Color::kRed, what);
      if (!note.empty()) *console_.out << ": " << SafeForTerminal(note);
      *console_.out << "\n";
    } else {
      Json event = {{"type", what}};
      AddHeader(&event, header);
      event["directory"] = directory_->path();
      event["file_count"] = newest_->files.size();
      if (!note.empty()) event["note"] = note;
      PrintEvent(event, output_, console_);
    }
    console_.out->flush();
  }

  void Report(v1::Outcome outcome, absl::string_view reason) {
    const absl::Status told = reporter_.Report(newest_->header, outcome, reason);
    // The directory is right whether the server knows it or not.
    if (!told.ok()) {
      console_.Say(absl::StrCat("could not report the outcome to the server: ", ErrorText(told)));
    }
  }

  const bool once_;
  const bool allow_empty_;
  const OutputFormat output_;
  AtomicDirectory* const directory_;
  const Console& console_;
  ConnectionNotes notes_;
  OutcomeReporter reporter_;
  SourceWatch* watch_ = nullptr;
  std::shared_ptr<const ReceivedSnapshot> newest_;
  absl::Status failure_;  // the last one told of newest_
  bool applied_ = false;
  bool done_ = false;
};

}  // namespace

int RunSync(const Invocation& invocation, const Console& console) {
  Interrupter interrupter;  // before gRPC starts its threads
  const auto connection = Connection::To(invocation.server);
  if (!connection.ok()) return Fail(console, connection.status(), invocation.server);
  const auto directory = AtomicDirectory::Open(invocation.directory, invocation.file_mode);
  if (!directory.ok()) {
    console.Say(ErrorMessage(directory.status()));
    return kExitError;
  }
  SourceWatchOptions options;
  options.request.set_source(invocation.source);
  options.request.set_client_id(invocation.client_id);
  options.request.set_mode(v1::WATCH_MODE_DELTA);
  for (const std::string& glob : invocation.globs) options.request.add_path_globs(glob);
  options.time_limit = invocation.timeout.value_or(absl::InfiniteDuration());
  DirectorySync sync(invocation, directory->get(), connection->get(), console);
  SourceWatch watch(connection->get(), options, &sync);
  sync.EndWith(&watch);
  interrupter.Start(/*out_fd=*/-1, [&watch] { watch.Stop(); });

  const absl::Status status = watch.Run();
  if (absl::IsDeadlineExceeded(status) && sync.notes().connected_ever()) {
    sync.notes().SayTimeOver(status);
    return kExitTimeOver;
  }
  if (!status.ok()) return Fail(console, status, invocation.server);
  if (!invocation.once) return kExitOk;
  const std::optional<int> signal = interrupter.signal();
  if (signal.has_value() && !sync.done()) return 128 + *signal;
  return sync.applied() ? kExitOk : kExitError;
}

}  // namespace confstream
