// The files of all retained versions of a source.

#ifndef CONFSTREAM_SERVER_HISTORY_VERSIONED_FILES_H_
#define CONFSTREAM_SERVER_HISTORY_VERSIONED_FILES_H_

#include <cstdint>
#include <deque>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "server/snapshot/snapshot.h"

namespace confstream {

// One content of a path, and the versions that have it: from `from` up to, and without, `to`.
struct FileInterval {
  static constexpr int64_t kOpen = std::numeric_limits<int64_t>::max();

  int64_t from = 0;
  int64_t to = kOpen;  // kOpen: the newest version has it
  std::shared_ptr<const FileContent> content;
};

// Keeps intervals, so a version costs what changed with it, and any version can be put together in
// time that depends on the number of paths only. Equal contents are kept once. Thread-compatible.
class VersionedFiles {
 public:
  // From `version` on, `path` has this content. REQUIRES: versions do not decrease.
  // Returns the content as it is kept: an equal one may have been there.
  std::shared_ptr<const FileContent> Put(int64_t version, const std::string& path,
                                         std::shared_ptr<const FileContent> content);
  // From `version` on, there is no `path`. REQUIRES: there is one; versions do not decrease.
  void Remove(int64_t version, const std::string& path);

  // The files of `version`, in byte order of paths. REQUIRES: the version is retained.
  std::vector<SnapshotFile> At(int64_t version) const;

  // Forgets what no version from `oldest` on has.
  void DropBefore(int64_t oldest);

  // Size of the contents that the newest version does not have.
  int64_t superseded_bytes() const { return superseded_bytes_; }

  // All intervals, oldest first for each path.
  const std::map<std::string, std::deque<FileInterval>>& intervals() const { return intervals_; }
  // Puts an interval back that intervals() had. REQUIRES: oldest first for each path; followed by
  // FinishRestoring().
  void Restore(const std::string& path, FileInterval interval);
  void FinishRestoring();

 private:
  struct Held {
    std::shared_ptr<const FileContent> content;
    int64_t open = 0;    // intervals of the newest version that have it
    int64_t closed = 0;  // others
  };
  struct Closed {
    int64_t to;
    std::string path;
  };

  void Close(int64_t version, const std::string& path, FileInterval* interval);
  // Changes how many intervals have the content, and keeps superseded_bytes_ in step.
  void Count(const Sha256& digest, int64_t open, int64_t closed);

  std::map<std::string, std::deque<FileInterval>> intervals_;  // by path; none is empty
  std::map<Sha256, Held> contents_;
  std::deque<Closed> closed_;  // ended intervals, in order of `to`
  int64_t superseded_bytes_ = 0;
};

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_HISTORY_VERSIONED_FILES_H_
