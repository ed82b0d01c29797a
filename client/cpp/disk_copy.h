// The last good snapshot of a view, on disk (docs/clients.md, "The copy on disk"): what a program
// starts with while its server is away.

#ifndef CONFSTREAM_CLIENT_CPP_DISK_COPY_H_
#define CONFSTREAM_CLIENT_CPP_DISK_COPY_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/cpp/received_snapshot.h"

namespace confstream {

// One file, that clients in all languages read and write alike. Several processes may keep the same
// copy: each version that one of them writes is whole. Thread-compatible.
class DiskCopy {
 public:
  // Of the view of `source` that `path_globs` select, in any order. What has more than `max_bytes`
  // of content is not taken.
  DiskCopy(const std::string& directory, const std::string& source,
           std::vector<std::string> path_globs, int64_t max_bytes);

  // Where it is: DIRECTORY/SOURCE.VIEW.snapshot.
  std::string path() const;

  // The copy, checked, or null if there is none; with it goes what killed writers left unfinished.
  // INVALID_ARGUMENT: the source's name cannot be part of a file's; DATA_LOSS: the copy is damaged
  // or of another source; RESOURCE_EXHAUSTED: it is too large; else what the file system answers.
  // The copy is never changed.
  absl::StatusOr<std::shared_ptr<const ReceivedSnapshot>> Read() const;

  // Replaces the copy, or leaves it as it is if that fails. The directory is made if it is missing,
  // and only its owner may enter it then. INVALID_ARGUMENT as Read; else what the file system
  // answers.
  absl::Status Write(const ReceivedSnapshot& snapshot) const;

 private:
  absl::Status CheckName() const;

  const std::string directory_;
  const std::string source_;
  const std::string name_;  // in directory_
  const int64_t max_bytes_;
};

}  // namespace confstream

#endif  // CONFSTREAM_CLIENT_CPP_DISK_COPY_H_
