#include "server/validate/path_rules.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "server/validate/file_violation.h"

namespace confstream {

void CheckPaths(const SourceRules& rules, const Generation& generation, ViolationList* found) {
  const auto& files = generation.files;
  for (const PathGlob& glob : rules.required) {
    const auto matches = [&](const GenerationFile& file) { return glob.Matches(file.path); };
    if (std::any_of(files.begin(), files.end(), matches)) continue;
    found->Add(MakeViolation("", TextPlace{0, 0}, "paths.required",
                             absl::StrCat("no file matches `", glob.pattern(),
                                          "`: add one, or correct rules.required")));
  }
  for (const GenerationFile& file : files) {
    for (const PathGlob& glob : rules.forbidden) {
      if (!glob.Matches(file.path)) continue;
      found->Add(MakeViolation(file.path, TextPlace{0, 0}, "paths.forbidden",
                               absl::StrCat("the file matches `", glob.pattern(),
                                            "`, which is forbidden: remove or rename it, or "
                                            "correct rules.forbidden")));
      break;
    }
  }
}

}  // namespace confstream
