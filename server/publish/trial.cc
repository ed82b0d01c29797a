#include "server/publish/trial.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/error_reason.h"
#include "server/base/text.h"
#include "server/snapshot/settings_check.h"
#include "server/validate/validator.h"

namespace confstream {

Generation GenerationOf(const Snapshot& snapshot) {
  Generation generation;
  generation.files.reserve(snapshot.files.size());
  for (const SnapshotFile& file : snapshot.files) {
    generation.files.push_back({file.path, file.content});
  }
  return generation;
}

absl::Status TryVersion(const SourceConfig& config, std::shared_ptr<const SchemaSet> schemas,
                        const Snapshot& old) {
  Validator::Verdict verdict = Validator(config, std::move(schemas)).Validate(GenerationOf(old));
  SettingsCheck settings(config);
  for (const SnapshotFile& file : old.files) {
    settings.Add(file.path, static_cast<int64_t>(file.content->bytes.size()));
    if (settings.Includes(file.path)) continue;
    verdict.violations.push_back({EscapeForDisplay(file.path), 0, 0, "paths.excluded",
                                  "the file is not part of the source any more: correct include "
                                  "or exclude"});
    ++verdict.total;
  }
  for (Violation& violation : settings.Violations()) {
    verdict.violations.push_back(std::move(violation));
    ++verdict.total;
  }
  if (verdict.total == 0) return absl::OkStatus();
  const Violation& first = *std::min_element(verdict.violations.begin(), verdict.violations.end());
  return ErrorWithReason(
      absl::StatusCode::kFailedPrecondition, kInvalidContent,
      absl::StrCat("version ", old.version, " of source `", config.name, "` breaks today's rules ",
                   verdict.total, verdict.total == 1 ? " time: " : " times, first: ", TextOf(first),
                   "; roll back to another version, or change the rule first"));
}

DryRunResult TryFiles(const SourceConfig& config, std::shared_ptr<const SchemaSet> schemas,
                      const Generation& files) {
  DryRunResult result;
  Validator::Verdict verdict = Validator(config, std::move(schemas)).Validate(files);
  result.violations = std::move(verdict.violations);
  result.total = verdict.total;
  TreeDigest digest;
  for (const GenerationFile& file : files.files) digest.Add(file.path, file.content->digest);
  result.digest = digest.Finish();
  return result;
}

}  // namespace confstream
