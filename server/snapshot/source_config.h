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

// Settings of one source. Plain data: copied to whoever needs it.
struct SourceConfig {
  std::string name;  // 1 to 63 characters of [a-z0-9.-_], beginning with a letter or digit
  std::string path;  // absolute; a directory or a file, which need not exist yet

  absl::Duration settle = absl::Milliseconds(500);
  absl::Duration max_delay = absl::Seconds(5);
  absl::Duration rescan_interval = absl::Seconds(60);

  // A file is part of the source if `include` is empty or one of it matches its relative path, and
  // none of `exclude` and of the built-in exclusions of plain directories does.
  std::vector<PathGlob> include;
  std::vector<PathGlob> exclude;
  // Absolute paths of directories that links inside the source may lead into, besides the source
  // itself.
  std::vector<std::string> link_roots;

  SourceLimits limits;
  bool required = true;      // health waits for it
  bool allow_empty = false;  // a plain directory without files is a valid, empty snapshot

  friend bool operator==(const SourceConfig& a, const SourceConfig& b) {
    return a.name == b.name && a.path == b.path && a.settle == b.settle &&
           a.max_delay == b.max_delay && a.rescan_interval == b.rescan_interval &&
           a.include == b.include && a.exclude == b.exclude && a.link_roots == b.link_roots &&
           a.limits == b.limits && a.required == b.required && a.allow_empty == b.allow_empty;
  }

  TreeRules tree_rules() const {
    return {include, exclude, link_roots, limits.max_files, limits.max_depth};
  }
};

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_SNAPSHOT_SOURCE_CONFIG_H_
