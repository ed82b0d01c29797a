// Decides whether a generation may be served.

#ifndef CONFSTREAM_SERVER_VALIDATE_VALIDATOR_H_
#define CONFSTREAM_SERVER_VALIDATE_VALIDATOR_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "server/snapshot/snapshot.h"
#include "server/snapshot/source_config.h"
#include "server/snapshot/violation.h"

namespace confstream {

// The rules of one source: UTF-8 and syntax by extension (.yaml and .yml, .json, .toml; anything
// else is opaque), bounds on nesting and aliases. Thread-compatible: one worker at a time uses it.
class Validator {
 public:
  // More violations than these are counted, not kept.
  static constexpr size_t kMaxViolations = 100;

  struct Verdict {
    std::vector<Violation> violations;  // sorted, at most kMaxViolations
    int64_t total = 0;                  // all of them

    bool ok() const { return total == 0; }
  };

  explicit Validator(const SourceLimits& limits) : limits_(limits) {}

  // Checks every file, but not again those that share path and content object with the last
  // generation checked.
  Verdict Validate(const Generation& generation);

 private:
  struct CheckedFile {
    std::shared_ptr<const FileContent> content;
    std::vector<Violation> violations;
  };

  const SourceLimits limits_;
  absl::flat_hash_map<std::string, CheckedFile> checked_;  // the last generation, by path
};

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_VALIDATE_VALIDATOR_H_
