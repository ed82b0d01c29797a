#include "server/publish/offline_validation.h"

#include <cstdint>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/base/link_resolver.h"
#include "server/base/text.h"
#include "server/snapshot/read_request.h"
#include "server/snapshot/snapshot_reader.h"
#include "server/validate/schema_set.h"
#include "server/validate/validator.h"

namespace confstream {
namespace {

// A path that leads elsewhere so many times while it is being read is not read any more.
constexpr int kMaxMoves = 10;

Reading ReadOffline(const SourceConfig& source, const Clock* clock, FileSystem* file_system) {
  SnapshotReader reader(clock, file_system, source);
  Reading reading;
  for (int i = 0; i < kMaxMoves; ++i) {
    ReadRequest request;
    request.source = source.name;
    request.route = LinkResolver(file_system).ResolveSource(source.path, false);
    request.cause = ReadCause::kForced;
    reading = reader.Read(request);
    if (reading.result != Reading::kMoved) break;
  }
  return reading;
}

OfflineReport CannotTell(absl::string_view why) {
  return {OfflineReport::kCannotTell, absl::StrCat("confstreamd: ", why, "\n")};
}

OfflineReport Invalid(const std::vector<Violation>& violations, int64_t total,
                      absl::string_view what) {
  OfflineReport report;
  report.exit_code = OfflineReport::kInvalid;
  for (const Violation& violation : violations) {
    absl::StrAppend(&report.text, TextOf(violation), "\n");
  }
  absl::StrAppend(&report.text, what, " is not valid: ", total,
                  total == 1 ? " violation" : " violations");
  if (static_cast<size_t>(total) > violations.size()) {
    absl::StrAppend(&report.text, ", of which the first ", violations.size(), " are shown");
  }
  absl::StrAppend(&report.text, "\n");
  return report;
}

}  // namespace

OfflineReport ValidateOffline(const SourceConfig& source, const Clock* clock,
                              FileSystem* file_system) {
  auto schemas = SchemaSet::Load(source.rules);
  if (!schemas.ok()) return CannotTell(schemas.status().message());
  const std::string what =
      absl::StrCat(EscapeForDisplay(source.path), ", as source ", source.name, ",");
  const Reading reading = ReadOffline(source, clock, file_system);
  switch (reading.result) {
    case Reading::kGeneration:
      break;
    case Reading::kMoved:
    case Reading::kUnsettled:
      return CannotTell(absl::StrCat(what, " is being changed all the time: try again later"));
    case Reading::kMissing:
    case Reading::kDetached:
    case Reading::kFailed:
      return CannotTell(absl::StrCat(what, " cannot be read: ", reading.status.message()));
  }
  const Validator::Verdict verdict =
      Validator(source, *std::move(schemas)).Validate(reading.generation, reading.violations);
  if (!verdict.ok()) return Invalid(verdict.violations, verdict.total, what);
  const size_t files = reading.generation.files.size();
  return {OfflineReport::kValid,
          absl::StrCat(what, " is valid: ", files, files == 1 ? " file" : " files", "\n")};
}

}  // namespace confstream
