// What the operator set for one source.

#ifndef CONFSTREAM_SERVER_SNAPSHOT_SOURCE_CONFIG_H_
#define CONFSTREAM_SERVER_SNAPSHOT_SOURCE_CONFIG_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "server/base/path_glob.h"
#include "server/base/source_tree.h"

namespace confstream {

// Bounds on one source. What exceeds one is refused before memory is taken for it.
struct SourceLimits {
  int64_t max_file_bytes = int64_t{16} << 20;
  int64_t max_total_bytes = int64_t{64} << 20;
  int64_t max_files = 10000;
  int max_depth = 32;     // directories below the source's root
  int max_nesting = 100;  // mappings and sequences inside one another in a YAML, JSON or TOML file
  int64_t max_alias_nodes = 100000;  // nodes that the aliases of a YAML file stand for, expanded

  friend bool operator==(const SourceLimits& a, const SourceLimits& b) {
    return a.max_file_bytes == b.max_file_bytes && a.max_total_bytes == b.max_total_bytes &&
           a.max_files == b.max_files && a.max_depth == b.max_depth &&
           a.max_nesting == b.max_nesting && a.max_alias_nodes == b.max_alias_nodes;
  }
};

// How much of a source's history is kept; the newest version always is. Each bound drops the oldest
// versions.
struct Retention {
  int64_t max_versions = 100;
  absl::Duration max_age = absl::Hours(30 * 24);  // since a newer version replaced it
  int64_t max_bytes = int64_t{64} << 20;          // of contents that the newest version has not

  friend bool operator==(const Retention& a, const Retention& b) {
    return a.max_versions == b.max_versions && a.max_age == b.max_age && a.max_bytes == b.max_bytes;
  }
};

// Files that `glob` matches must be as the JSON Schema in `schema_file`, an absolute path, says.
struct SchemaRule {
  PathGlob glob;
  std::string schema_file;

  friend bool operator==(const SchemaRule& a, const SchemaRule& b) {
    return a.glob == b.glob && a.schema_file == b.schema_file;
  }
};

// What the files of a source must be like, beyond the syntax that their names promise.
struct SourceRules {
  std::vector<PathGlob> required;   // each of them must match a file
  std::vector<PathGlob> forbidden;  // no file may match one of them
  std::string checksums;            // relative path of a manifest as sha256sum writes it; or empty
  std::vector<SchemaRule> schemas;

  friend bool operator==(const SourceRules& a, const SourceRules& b) {
    return a.required == b.required && a.forbidden == b.forbidden && a.checksums == b.checksums &&
           a.schemas == b.schemas;
  }
};

// Settings of one source. Plain data: copied to whoever needs it.
struct SourceConfig {
  std::string name;  // 1 to 63 characters of [a-z0-9.-_], beginning with a letter or digit
  std::string path;  // absolute; a directory or a file, which need not exist yet

  absl::Duration settle = absl::Milliseconds(500);
  absl::Duration max_delay = absl::Seconds(5);
  absl::Duration rescan_interval = absl::Seconds(60);
  bool always_poll = false;  // even where the kernel would tell of changes
  absl::Duration poll_interval = absl::Seconds(1);
  absl::Duration read_timeout = absl::Seconds(10);  // a reading that takes longer is said to stall

  // A file is part of the source if `include` is empty or one of it matches its relative path, and
  // none of `exclude` and of the built-in exclusions of plain directories does.
  std::vector<PathGlob> include;
  std::vector<PathGlob> exclude;
  // Absolute paths of directories that links inside the source may lead into, besides the source
  // itself.
  std::vector<std::string> link_roots;

  SourceLimits limits;
  SourceRules rules;
  bool required = true;      // health waits for it
  bool allow_empty = false;  // a plain directory without files is a valid, empty snapshot
  // Its content never touches disk or log, nor do digests of it: only version numbers do.
  bool sensitive = false;
  Retention retention;

  friend bool operator==(const SourceConfig& a, const SourceConfig& b) {
    return a.name == b.name && a.path == b.path && a.settle == b.settle &&
           a.max_delay == b.max_delay && a.rescan_interval == b.rescan_interval &&
           a.always_poll == b.always_poll && a.poll_interval == b.poll_interval &&
           a.read_timeout == b.read_timeout && a.include == b.include && a.exclude == b.exclude &&
           a.link_roots == b.link_roots && a.limits == b.limits && a.rules == b.rules &&
           a.required == b.required && a.allow_empty == b.allow_empty &&
           a.sensitive == b.sensitive && a.retention == b.retention;
  }

  TreeRules tree_rules() const {
    return {include, exclude, link_roots, limits.max_files, limits.max_depth};
  }
};

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_SNAPSHOT_SOURCE_CONFIG_H_
