// What the settings of a source say of files that were not read from its path: those of an old
// version, or of a client that wants to know.

#ifndef CONFSTREAM_SERVER_SNAPSHOT_SETTINGS_CHECK_H_
#define CONFSTREAM_SERVER_SNAPSHOT_SETTINGS_CHECK_H_

#include <cstdint>
#include <vector>

#include "absl/strings/string_view.h"
#include "server/base/source_tree.h"
#include "server/snapshot/source_config.h"
#include "server/snapshot/violation.h"

namespace confstream {

// Applies include, exclude and the limits as ListSourceTree and SnapshotReader do. One check is for
// one set of files. Thread-compatible.
class SettingsCheck {
 public:
  explicit SettingsCheck(const SourceConfig& config)
      : limits_(config.limits), rules_(config.tree_rules()) {}

  // True if a file at `path`, relative to the source, is part of it. What is left out of plain
  // directories only, such as the backups of editors, is taken for part of it.
  bool Includes(absl::string_view path) const;

  // Counts in a file that is part of the source.
  void Add(absl::string_view path, int64_t size_bytes);

  // What the files break, sorted.
  std::vector<Violation> Violations() const;

 private:
  const SourceLimits limits_;
  const TreeRules rules_;
  int64_t files_ = 0;
  int64_t total_bytes_ = 0;
  bool has_large_file_ = false;
  std::vector<Violation> violations_;  // of single files
};

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_SNAPSHOT_SETTINGS_CHECK_H_
