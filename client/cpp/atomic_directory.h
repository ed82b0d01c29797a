// A directory that holds one set of files, whole, at every moment: the volume that kubelet's atomic
// writer makes, for content that did not come from kubelet.

#ifndef CONFSTREAM_CLIENT_CPP_ATOMIC_DIRECTORY_H_
#define CONFSTREAM_CLIENT_CPP_ATOMIC_DIRECTORY_H_

#include <sys/types.h>

#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "client/cpp/received_snapshot.h"
#include "server/base/unique_fd.h"

namespace confstream {

// The layout is
//
//   app.yaml -> ..data/app.yaml                          a link for every top-level name
//   ..data   -> ..2026_01_31_10_00_00.confstream-<random>
//   ..2026_01_31_10_00_00.confstream-<random>/           the generation: real files
//
// and a change is a new generation, a rename over `..data`, new links, removed links, the removal
// of the old generation, in this order, and on disk before it is seen. So who resolves `..data`
// once and reads below it has files of one generation, whenever this process or the machine dies;
// and who watches ConfigMap volumes can watch this. Files are written anew in every generation,
// never linked from the one before: a link more or less changes the change time of a file that
// somebody reads, and an editor in one generation would edit the other.
//
// One at a time: the directory is locked (flock) for the life of the object. Thread-compatible.
class AtomicDirectory {
 public:
  // Makes the directory, with those above it, if it is missing, and clears away what a killed
  // predecessor left. What `..data` leads to stays. Files get the permissions `file_mode`.
  // INVALID_ARGUMENT: `path` is empty; FAILED_PRECONDITION: the directory holds something that no
  // AtomicDirectory made, or another process keeps it; else what the file system answers. Nothing
  // foreign is touched.
  static absl::StatusOr<std::unique_ptr<AtomicDirectory>> Open(absl::string_view path,
                                                               mode_t file_mode = 0644);

  // Makes the directory hold `files` and nothing else. Returns false, having changed nothing, if it
  // does already. INVALID_ARGUMENT: they cannot be files of one directory (file_paths.h);
  // FAILED_PRECONDITION: something foreign is in the way; else what the file system answers. Also
  // after an error `..data` leads to one whole generation: the old one, unless all of the new one
  // is on disk already and only a top-level link could not be made.
  absl::StatusOr<bool> Replace(const std::vector<ReceivedFile>& files);

  // Absolute.
  const std::string& path() const { return path_; }

 private:
  AtomicDirectory(std::string path, mode_t file_mode, UniqueFd directory)
      : path_(std::move(path)), file_mode_(file_mode), directory_(std::move(directory)) {}

  // What is in the directory, by its role.
  struct Entries {
    std::string data;                   // what `..data` leads to; empty: there is none
    bool data_tmp = false;              // `..data_tmp` is there
    std::set<std::string> links;        // top-level names
    std::set<std::string> generations;  // names of directories
  };

  absl::StatusOr<Entries> Look() const;
  bool Holds(const Entries& entries, const std::vector<ReceivedFile>& files) const;
  absl::StatusOr<std::string> WriteGeneration(const std::vector<ReceivedFile>& files) const;
  absl::Status SwapData(const std::string& generation) const;
  // The rest of a change, for whatever `..data` leads to: links made, links removed, and all that
  // is left of other generations. What cannot be removed stays for the next time.
  absl::Status Tidy() const;
  std::string PathOf(absl::string_view name) const;

  const std::string path_;
  const mode_t file_mode_;
  const UniqueFd directory_;  // holds the lock
};

}  // namespace confstream

#endif  // CONFSTREAM_CLIENT_CPP_ATOMIC_DIRECTORY_H_
