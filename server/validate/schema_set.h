// The schemas of a source.

#ifndef CONFSTREAM_SERVER_VALIDATE_SCHEMA_SET_H_
#define CONFSTREAM_SERVER_VALIDATE_SCHEMA_SET_H_

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/base/file_system.h"
#include "server/base/path_glob.h"
#include "server/snapshot/source_config.h"
#include "server/validate/json_schema.h"

namespace confstream {

// SourceRules::schemas, read and compiled, and what the files were like then. Immutable, so
// thread-safe.
class SchemaSet {
 public:
  // A larger file is no schema.
  static constexpr size_t kMaxFileBytes = size_t{1} << 20;

  // Reads every schema file, links followed. INVALID_ARGUMENT: one cannot be read, or is no schema;
  // the message has a line for each mistake in all of them, with file, place and remedy.
  static absl::StatusOr<std::shared_ptr<const SchemaSet>> Load(const SourceRules& rules);

  // False: a file is another one by now, or has been written to, or cannot be looked at any more.
  // Takes one stat a file.
  bool IsCurrent() const;

  // The same schemas, with IsCurrent() being about the files as they are now: for whoever is about
  // to Load() them again, and, if that fails, does not want to be told again until they change.
  // Taken afterwards instead, it would hide a file that was finished between the two.
  std::shared_ptr<const SchemaSet> AsOfNow() const;

  // Those that the file at `path` must be checked with, in the order of the rules.
  std::vector<const JsonSchema*> For(absl::string_view path) const;

 private:
  struct File {
    std::string path;
    std::optional<FileStat> stat;  // unset: it could not be looked at
    std::shared_ptr<const JsonSchema> schema;
  };
  struct Rule {
    PathGlob glob;
    size_t file;  // its index
  };

  SchemaSet() = default;
  static absl::StatusOr<File> LoadFile(const std::string& path);

  std::vector<File> files_;  // each once
  std::vector<Rule> rules_;
};

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_VALIDATE_SCHEMA_SET_H_
