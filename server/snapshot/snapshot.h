// What one reading of a source found, and what became of it. All of it immutable and shared.

#ifndef CONFSTREAM_SERVER_SNAPSHOT_SNAPSHOT_H_
#define CONFSTREAM_SERVER_SNAPSHOT_SNAPSHOT_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "server/base/sha256.h"

namespace confstream {

// The bytes of a file, shared by every generation in which the file has not changed.
struct FileContent {
  std::string bytes;
  Sha256 digest;
};

// One file of a generation.
struct GenerationFile {
  std::string path;  // relative, `/` between components
  std::shared_ptr<const FileContent> content;
};

// All files of a source from one moment, in byte order of paths.
struct Generation {
  std::vector<GenerationFile> files;
};

// One file of a snapshot.
struct SnapshotFile {
  std::string path;
  std::shared_ptr<const FileContent> content;
  int64_t last_changed_version = 0;
};

// Where the content of a snapshot came from.
enum class SnapshotOrigin { kFiles, kRollback };

// A generation that passed validation, with its version. Files in byte order of paths.
struct Snapshot {
  std::string source;
  std::string epoch;
  int64_t version = 0;
  Sha256 digest;  // TreeDigest of all files
  absl::Time publish_time;
  SnapshotOrigin origin = SnapshotOrigin::kFiles;
  int64_t rolled_back_to = 0;  // with kRollback: whose content this is
  std::vector<SnapshotFile> files;
};

// Digest of the text that `sha256sum` prints for the paths added, in the order they are added: byte
// order of paths.
class TreeDigest {
 public:
  void Add(absl::string_view path, const Sha256& digest);
  Sha256 Finish();

 private:
  Sha256Hasher hasher_;
  std::string line_;
};

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_SNAPSHOT_SNAPSHOT_H_
