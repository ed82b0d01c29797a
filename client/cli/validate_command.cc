#include "client/cli/admin_calls.h"
#include "client/cli/candidate_upload.h"
#include "client/cli/commands.h"
#include "client/cli/display.h"
#include "client/cli/exit_code.h"
#include "client/cli/structured_output.h"

namespace confstream {
namespace {

constexpr absl::Duration kTimeout = absl::Seconds(60);

void PrintText(const v1::ValidateSnapshotResponse& verdict, size_t file_count,
               const Console& console) {
  for (const v1::Violation& violation : verdict.violations()) {
    *console.out << ViolationText(violation) << "\n";
  }
  if (verdict.valid()) {
    *console.out << console.Paint(Color::kGreen, "valid") << ": " << file_count
                 << (file_count == 1 ? " file, " : " files, ") << SafeForTerminal(verdict.digest())
                 << "\n";
    return;
  }
  *console.out << console.Paint(Color::kRed, "not valid") << ": " << verdict.violations_total()
               << (verdict.violations_total() == 1 ? " violation" : " violations");
  if (verdict.violations_total() > verdict.violations_size()) {
    *console.out << ", of which the first " << verdict.violations_size() << " are listed";
  }
  *console.out << "\n";
}

Json VerdictToJson(const std::string& source, const v1::ValidateSnapshotResponse& verdict,
                   size_t file_count) {
  Json json = Json::object();
  json["source"] = source;
  json["valid"] = verdict.valid();
  json["file_count"] = file_count;
  if (!verdict.digest().empty()) json["digest"] = verdict.digest();
  json["violations_total"] = verdict.violations_total();
  json["violations"] = Json::array();
  for (const v1::Violation& violation : verdict.violations()) {
    json["violations"].push_back(ToJson(violation));
  }
  return json;
}

}  // namespace

int RunValidate(const Invocation& invocation, const Console& console) {
  PosixFileSystem file_system;
  auto upload = CandidateUpload::Open(&file_system, invocation.directory, invocation.source);
  if (!upload.ok()) {
    console.Say(ErrorMessage(upload.status()));
    return kExitError;
  }
  const auto connection = Connection::To(invocation.server);
  if (!connection.ok()) return Fail(console, connection.status(), invocation.server);
  auto verdict = ValidateSnapshot(
      connection->get(),
      [&upload](v1::ValidateSnapshotRequest* request) { return upload->Next(request); },
      invocation.timeout.value_or(kTimeout));
  if (!verdict.ok()) return FailAdmin(console, verdict.status(), invocation.server);
  // What the server was not even sent is wrong as well.
  for (const v1::Violation& violation : upload->violations()) {
    *verdict->add_violations() = violation;
    verdict->set_violations_total(verdict->violations_total() + 1);
    verdict->set_valid(false);
  }

  const OutputFormat output = invocation.OutputOr(OutputFormat::kTable);
  if (output == OutputFormat::kTable) {
    PrintText(*verdict, upload->file_count(), console);
  } else {
    PrintStructured(VerdictToJson(invocation.source, *verdict, upload->file_count()), output,
                    console);
  }
  return verdict->valid() ? kExitOk : kExitInvalid;
}

}  // namespace confstream
