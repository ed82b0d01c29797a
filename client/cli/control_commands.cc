// rollback, unpin, reload: what changes what is served.

#include <optional>

#include "absl/strings/str_cat.h"
#include "client/cli/admin_calls.h"
#include "client/cli/commands.h"
#include "client/cli/display.h"
#include "client/cli/exit_code.h"
#include "client/cli/queries.h"
#include "client/cli/structured_output.h"
#include "client/cpp/rpc_status.h"

namespace confstream {
namespace {

// The server itself waits up to 30 s for a reading.
constexpr absl::Duration kReloadTimeout = absl::Seconds(40);

void WarnNotPersisted(absl::string_view what, v1::HistoryState history, const Console& console) {
  if (history == v1::HISTORY_STATE_MEMORY) {
    console.Say(
        absl::StrCat("warning: ", what,
                     " is in the server's memory only, and ends with it: on disk is the "
                     "history of sources that are not sensitive, if confstreamd was started "
                     "with --state-dir DIR"));
  } else {
    console.Say(absl::StrCat("warning: ", what,
                             " is not on disk yet, and may be lost if the server ends: `confstream "
                             "status` says what is wrong with its --state-dir"));
  }
}

// Where the server keeps the history of `source`; UNSPECIFIED if it does not say.
v1::HistoryState HistoryOf(Connection* connection, const Invocation& invocation) {
  const auto sources = ListSources(connection, invocation.CallTimeout());
  if (!sources.ok()) return v1::HISTORY_STATE_UNSPECIFIED;
  for (const v1::SourceSummary& source : sources->sources()) {
    if (source.header().source() == invocation.source) return source.status().history().state();
  }
  return v1::HISTORY_STATE_UNSPECIFIED;
}

// Prints what is served after unpin and reload.
int PrintServed(const v1::ResponseHeader& header, const v1::SourceStatus& status,
                const Invocation& invocation, const Console& console, Json json) {
  const OutputFormat output = invocation.OutputOr(OutputFormat::kTable);
  if (output != OutputFormat::kTable) {
    AddHeader(&json, header);
    AddStatus(&json, status);
    PrintStructured(json, output, console);
  } else {
    const std::string name = SafeForTerminal(invocation.source);
    *console.out << name << " is "
                 << console.Paint(ColorOf(status.state()), ShortName(status.state()));
    if (header.version() > 0) {
      *console.out << ", serving version " << header.version() << " (" << OriginText(header) << ", "
                   << ShortDigest(header.digest()) << ")\n";
    } else {
      *console.out << ", serving nothing yet\n";
    }
    for (const std::string& remark : Remarks(invocation.source, status)) {
      *console.out << remark << "\n";
    }
    for (const v1::Violation& violation : status.violations()) {
      *console.out << "  " << ViolationText(violation) << "\n";
    }
    const int64_t more = status.violations_total() - status.violations_size();
    if (more > 0) *console.out << "  and " << more << " more\n";
  }
  return status.state() == v1::SOURCE_STATE_SERVING ? kExitOk : kExitNotServing;
}

// What is served now.
struct Current {
  int64_t version = 0;
  std::optional<v1::Pin> pin;
};

absl::StatusOr<Current> FindCurrent(Connection* connection, const Invocation& invocation) {
  const auto newest =
      ListSnapshots(connection, invocation.source, /*limit=*/1, invocation.CallTimeout());
  if (!newest.ok()) return newest.status();
  if (newest->snapshots().empty()) {
    return absl::NotFoundError(
        absl::StrCat("source ", invocation.source, " has no version yet to roll back from"));
  }
  Current current{newest->snapshots(0).header().version(), std::nullopt};
  if (newest->has_pin()) current.pin = newest->pin();
  return current;
}

// Says what a rollback did. `before`: what was served when it was asked for.
void PrintRollback(const v1::RollbackSnapshotResponse& done, const Current& before,
                   const Console& console) {
  const v1::ResponseHeader& header = done.header();
  const std::string name = SafeForTerminal(header.source());
  const std::string content = absl::StrCat("the content of version ", done.pin().version(), " (",
                                           ShortDigest(header.digest()), ")");
  if (header.version() > before.version) {
    *console.out << name << ": version " << header.version() << " has " << content
                 << ", replacing version " << before.version << "\n";
  } else {
    *console.out << name << ": already at version " << header.version() << ", which has " << content
                 << "; "
                 << (before.pin.has_value() ? "pin renewed, reason and expiry replaced"
                                            : "it is pinned now")
                 << "\n";
  }
  if (before.pin.has_value()) *console.out << "it was " << PinText(*before.pin) << "\n";
  *console.out << PinText(done.pin()) << "\n";
}

int FailRollback(const Invocation& invocation, const absl::Status& error, const Console& console) {
  if (ErrorReason(error) != "VERSION_MISMATCH") {
    return FailAdmin(console, error, invocation.server);
  }
  // The message says what to do: look, then decide.
  console.Say(absl::StrCat(ErrorMessage(error), " (`confstream history ",
                           SafeForTerminal(invocation.source), "` shows it)"));
  return kExitError;
}

}  // namespace

int RunRollback(const Invocation& invocation, const Console& console) {
  const auto connection = Connection::To(invocation.server);
  if (!connection.ok()) return Fail(console, connection.status(), invocation.server);
  v1::RollbackSnapshotRequest request;
  request.set_source(invocation.source);
  request.set_version(invocation.version);
  request.set_reason(invocation.reason);
  if (invocation.expire.has_value()) {
    ToProto(*invocation.expire, request.mutable_expire_after());
  }
  const auto before = FindCurrent(connection->get(), invocation);
  if (!before.ok()) return FailAdmin(console, before.status(), invocation.server);
  request.set_expected_version(invocation.expect.value_or(before->version));
  const auto done = RollbackSnapshot(connection->get(), request, invocation.CallTimeout());
  if (!done.ok()) return FailRollback(invocation, done.status(), console);

  const OutputFormat output = invocation.OutputOr(OutputFormat::kTable);
  if (output != OutputFormat::kTable) {
    Json json = Json::object();
    AddHeader(&json, done->header());
    json["pin"] = ToJson(done->pin());
    json["published"] = done->header().version() > before->version;
    json["persisted"] = done->persisted();
    PrintStructured(json, output, console);
  } else {
    PrintRollback(*done, *before, console);
  }
  if (!done->persisted()) {
    WarnNotPersisted("the rollback", HistoryOf(connection->get(), invocation), console);
  }
  return kExitOk;
}

int RunUnpin(const Invocation& invocation, const Console& console) {
  const auto connection = Connection::To(invocation.server);
  if (!connection.ok()) return Fail(console, connection.status(), invocation.server);
  const auto done = UnpinSource(connection->get(), invocation.source, invocation.CallTimeout());
  if (!done.ok()) return FailAdmin(console, done.status(), invocation.server);
  const Json json = {{"persisted", done->persisted()}};
  const int code = PrintServed(done->header(), done->status(), invocation, console, json);
  if (!done->persisted()) {
    WarnNotPersisted("that the pin is gone", done->status().history().state(), console);
  }
  return code;
}

int RunReload(const Invocation& invocation, const Console& console) {
  const auto connection = Connection::To(invocation.server);
  if (!connection.ok()) return Fail(console, connection.status(), invocation.server);
  const auto done = ReloadSource(connection->get(), invocation.source,
                                 invocation.timeout.value_or(kReloadTimeout));
  if (!done.ok()) return FailAdmin(console, done.status(), invocation.server);
  return PrintServed(done->header(), done->status(), invocation, console, Json::object());
}

}  // namespace confstream
