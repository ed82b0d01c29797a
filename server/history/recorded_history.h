// A source's history on its way to the disk and back.

#ifndef CONFSTREAM_SERVER_HISTORY_RECORDED_HISTORY_H_
#define CONFSTREAM_SERVER_HISTORY_RECORDED_HISTORY_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "server/history/versioned_files.h"
#include "server/snapshot/pin.h"
#include "server/snapshot/retained_versions.h"

namespace confstream {

// What the disk has of a source. Plain data.
struct RecordedHistory {
  // Empty: it knows nothing of the source, or its numbers are not ours to use.
  std::string epoch;
  int64_t reserved_until = 0;  // numbers up to this may have been used
  int64_t dropped_up_to = 0;
  std::optional<Pin> pin;
  std::vector<VersionSummary> versions;                         // oldest first
  std::vector<std::pair<std::string, FileInterval>> intervals;  // by path, oldest first

  // Set by who opened the disk: numbers from `reserved_until` on, up to this, are ours. Unset: the
  // disk cannot be written, so that a new version needs another epoch.
  std::optional<int64_t> new_reserve;
};

// A path got other content with a version, or none.
struct RecordedChange {
  int64_t version = 0;
  std::string path;
  std::shared_ptr<const FileContent> content;  // null: removed
};

// What the disk has not. Plain data.
struct UnrecordedHistory {
  std::string epoch;
  int64_t reserve_until = 0;
  int64_t dropped_up_to = 0;
  std::optional<Pin> pin;
  // True: what the disk has of the source is to be replaced by `versions` and `intervals`.
  bool everything = false;
  std::vector<VersionSummary> versions;
  std::vector<std::pair<std::string, FileInterval>> intervals;
  std::vector<RecordedChange> changes;

  // For NoteRecorded.
  int64_t revision = 0;
  int64_t last_version = 0;
};

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_HISTORY_RECORDED_HISTORY_H_
