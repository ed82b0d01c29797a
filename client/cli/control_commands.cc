// rollback, unpin, reload: what changes what is served.

#include "absl/strings/str_cat.h"
#include "client/cli/admin_calls.h"
#include "client/cli/commands.h"
#include "client/cli/display.h"
#include "client/cli/exit_code.h"
#include "client/cli/structured_output.h"
#include "client/cpp/rpc_status.h"

namespace confstream {
namespace {

// The server itself waits up to 30 s for a reading.
constexpr absl::Duration kReloadTimeout = absl::Seconds(40);

void WarnIfNotPersisted(bool persisted, absl::string_view what, const Console& console) {
  if (persisted) return;
  console.Say(absl::StrCat("warning: ", what,
                           " is not on disk, and may be lost if the server ends: `confstream "
                           "status` says whether history is recorded"));
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

// The version that is current now.
absl::StatusOr<int64_t> CurrentVersion(Connection* connection, const Invocation& invocation) {
  const auto newest =
      ListSnapshots(connection, invocation.source, /*limit=*/1, invocation.CallTimeout());
  if (!newest.ok()) return newest.status();
  if (newest->snapshots().empty()) {
    return absl::NotFoundError(
        absl::StrCat("source ", invocation.source, " has no version yet to roll back from"));
  }
  return newest->snapshots(0).header().version();
}

int FailRollback(const Invocation& invocation, const absl::Status& error, const Console& console) {
  if (ErrorReason(error) != "VERSION_MISMATCH") {
    return FailAdmin(console, error, invocation.server);
  }
  console.Say(absl::StrCat(ErrorMessage(error),
                           ". Somebody was faster: look at `confstream history ",
                           SafeForTerminal(invocation.source), "`, and decide again"));
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
  if (invocation.expect.has_value()) {
    request.set_expected_version(*invocation.expect);
  } else {
    const auto current = CurrentVersion(connection->get(), invocation);
    if (!current.ok()) return FailAdmin(console, current.status(), invocation.server);
    request.set_expected_version(*current);
  }
  const auto done = RollbackSnapshot(connection->get(), request, invocation.CallTimeout());
  if (!done.ok()) return FailRollback(invocation, done.status(), console);

  const OutputFormat output = invocation.OutputOr(OutputFormat::kTable);
  if (output != OutputFormat::kTable) {
    Json json = Json::object();
    AddHeader(&json, done->header());
    json["pin"] = ToJson(done->pin());
    json["persisted"] = done->persisted();
    PrintStructured(json, output, console);
  } else {
    *console.out << SafeForTerminal(invocation.source) << ": version " << done->header().version()
                 << " has the content of version " << done->header().rolled_back_to() << " ("
                 << ShortDigest(done->header().digest()) << "), replacing version "
                 << request.expected_version() << "\n"
                 << PinText(done->pin()) << "\n";
  }
  WarnIfNotPersisted(done->persisted(), "the rollback", console);
  return kExitOk;
}

int RunUnpin(const Invocation& invocation, const Console& console) {
  const auto connection = Connection::To(invocation.server);
  if (!connection.ok()) return Fail(console, connection.status(), invocation.server);
  const auto done = UnpinSource(connection->get(), invocation.source, invocation.CallTimeout());
  if (!done.ok()) return FailAdmin(console, done.status(), invocation.server);
  const Json json = {{"persisted", done->persisted()}};
  const int code = PrintServed(done->header(), done->status(), invocation, console, json);
  WarnIfNotPersisted(done->persisted(), "that the pin is gone", console);
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
