// Decides whether a generation may be served.

#ifndef CONFSTREAM_SERVER_VALIDATE_VALIDATOR_H_
#define CONFSTREAM_SERVER_VALIDATE_VALIDATOR_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "server/snapshot/snapshot.h"
#include "server/snapshot/source_config.h"
#include "server/snapshot/violation.h"
#include "server/validate/schema_set.h"
#include "server/validate/violation_list.h"

namespace confstream {

// The rules of one source: UTF-8 and syntax by extension (.yaml and .yml, .json, .toml; anything
// else is opaque), bounds on nesting and aliases, and SourceRules. Thread-compatible: one worker at
// a time uses it.
class Validator {
 public:
  // More violations than these are counted, not kept.
  static constexpr size_t kMaxViolations = ViolationList::kMostKept;

  struct Verdict {
    std::vector<Violation> violations;  // sorted, at most kMaxViolations
    int64_t total = 0;                  // all of them

    bool ok() const { return total == 0; }
  };

  // `schemas` are those of `config.rules`; null: there are none.
  Validator(const SourceConfig& config, std::shared_ptr<const SchemaSet> schemas);

  // Checks every file, but not again those that share path and content object with the last
  // generation checked; and each time what concerns all of them. Files in byte order of paths.
  // With `refused`, what a reading has found already, the generation is but a part: what concerns
  // all files is not judged, for it would find fault with the lack of the others.
  Verdict Validate(const Generation& generation, const std::vector<Violation>& refused = {});

 private:
  struct CheckedFile {
    std::string path;
    std::shared_ptr<const FileContent> content;
    ViolationList found;
  };

  ViolationList CheckFile(const GenerationFile& file) const;
  void CheckSchemas(const GenerationFile& file, ViolationList* found) const;

  SourceLimits limits_;
  SourceRules rules_;
  bool quotes_content_;  // in messages
  std::shared_ptr<const SchemaSet> schemas_;
  std::vector<CheckedFile> checked_;  // the last generation, in byte order of paths
};

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_VALIDATE_VALIDATOR_H_
