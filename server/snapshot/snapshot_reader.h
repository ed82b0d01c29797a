// Reads one consistent generation of a source.

#ifndef CONFSTREAM_SERVER_SNAPSHOT_SNAPSHOT_READER_H_
#define CONFSTREAM_SERVER_SNAPSHOT_SNAPSHOT_READER_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/base/clock.h"
#include "server/base/file_system.h"
#include "server/base/link_resolver.h"
#include "server/base/source_tree.h"
#include "server/snapshot/mount_check.h"
#include "server/snapshot/read_request.h"
#include "server/snapshot/snapshot.h"
#include "server/snapshot/source_config.h"
#include "server/snapshot/violation.h"

namespace confstream {

// What a reading found.
struct Reading {
  enum Result {
    kGeneration,  // `generation`, whole unless there are `violations`
    kMissing,     // the source does not exist: `status` says where its path ends
    kDetached,  // what is mounted was deleted or replaced, and will never change: `status` names it
    kMoved,     // as ReadOutcome
    kUnsettled,  // as ReadOutcome
    kFailed,     // as ReadOutcome: `status` says what the file system answered
  };

  Result result = kFailed;
  absl::Status status;
  Generation generation;
  Sha256 digest;  // TreeDigest of `generation`; of no meaning unless that is whole
  // Of limits and links; what is inside the files is the validator's to say. With them the
  // generation has the files that they are not about, or none if those are too much together.
  std::vector<Violation> violations;
  bool needs_quiet =
      false;  // complete only if no event has concerned the source since the request was made
  // Not empty: the source works, but its mount is of a kind that stops to show changes; why, and
  // the remedy.
  std::string mount_warning;
};

// Reads a source again and again, and takes files that have not changed from the reading before.
//
// The directory is opened once; every file in it is opened; then the path is resolved again. If it
// leads by the same hops to the same directory, the open files are one generation and can be read
// at leisure, whatever is retargeted or deleted meanwhile. A tree that was not entered through a
// commit point is looked at twice, with all that is read in between; what has not changed since the
// reading before was looked at by that one. Thread-compatible: one worker at a time uses it.
class SnapshotReader {
 public:
  // Trees of more files are read before the path is resolved again, so that descriptors are
  // bounded.
  static constexpr size_t kMaxOpenFiles = 1024;

  SnapshotReader(const Clock* clock, FileSystem* file_system, const SourceConfig& config);

  Reading Read(const ReadRequest& request);

 private:
  struct Remembered {
    std::string path;
    FileStat stat;
    std::shared_ptr<const FileContent> content;  // null: it was refused, and never read before
    // The file has this content for as long as it looks the same. Otherwise the content serves for
    // comparison only.
    bool reusable = false;
    // It was read by the reading under way, before that looked at the tree.
    bool caught_up = false;
  };
  // One file on its way from the listing to the generation.
  struct OpenFile {
    std::string path;
    Remembered* known = nullptr;  // null: the reading before did not find it
    FileStat stat;
    std::shared_ptr<const FileContent> content;  // taken from the reading before, or read by now
    UniqueFd fd;                                 // open for reading if there is no content yet
    bool reused = false;                         // the content is what was remembered
    bool refused = false;                        // by a violation: it is not read
  };
  struct Listed {
    SourceTree tree;
    std::vector<FileStat> directories;
    std::vector<OpenFile> files;
  };
  // `as_it_is`: files are taken that change while they are read, or whose size is not what can be
  // read.
  Reading ReadOnce(const ReadRequest& request, bool as_it_is);
  Reading ReadTree(const ReadRequest& request, const ResolvedPath& route, bool as_it_is);
  ResolvedPath Resolve(const ReadRequest& request);
  // True if the source is known to be a Kubernetes volume.
  bool IsVolume(const ReadRequest& request) const;
  // Reads the files whose remembered content cannot be reused, those that events have named above
  // all, and remembers them as they are now, before the tree is looked at.
  void CatchUp(const ReadRequest& request, const ResolvedPath& route);
  absl::Status ReadAgain(const ResolvedPath& route, int64_t* room_bytes, Remembered* known);
  Remembered* Find(absl::string_view path);
  // What forbids to serve `listed`, sorted; marks the files that are not to be read for it.
  std::vector<Violation> Refuse(Listed* listed) const;
  absl::StatusOr<Listed> List(const ResolvedPath& route);
  absl::Status StatAll(Listed* listed);
  // Finds out what is known of each file.
  void Recall(Listed* listed);
  // `entry` stands for the file.
  absl::Status Open(int entry, OpenFile* file);
  absl::Status ReadFile(bool as_it_is, int64_t* growth, OpenFile* file);
  absl::Status ReadUnchanged(OpenFile* file);
  // Takes what the file has beyond the size that it is said to have from `growth`.
  absl::Status ReadAsItIs(int64_t* growth, OpenFile* file);
  absl::Status ReadUpTo(int64_t most_bytes, const OpenFile& file, std::string* bytes) const;
  void Keep(std::shared_ptr<FileContent> content, OpenFile* file) const;
  static std::shared_ptr<const FileContent> Reusable(const OpenFile& file);
  // True if the file, read by this reading, cannot change without looking different from now on.
  bool TellsChanges(const OpenFile& file) const;
  // What an error amounts to: the path leads elsewhere by now, the tree is changing, or the file
  // system refuses.
  Reading Failure(const ReadRequest& request, const ResolvedPath& route, absl::Status status);
  // True if the tree was complete when the commit hop was replaced, or has been left alone for long
  // enough.
  bool CompleteByCommit(const ReadRequest& request, const ResolvedPath& route,
                        const Listed& listed) const;
  // True if nobody has changed the tree for `settle`; half of it where the events say that it is
  // quiet.
  bool LeftAlone(const ResolvedPath& route, const Listed& listed, bool trusts_events) const;
  // True if every directory and file is as it is remembered.
  bool AsRemembered(const ResolvedPath& route, const Listed& listed) const;
  static bool SameTree(const Listed& a, const Listed& b);
  void Remember(const ResolvedPath& route, const Listed& listed);
  void RememberListings(const std::vector<TreeDirectory>& directories);
  static Reading Finish(Listed listed, std::vector<Violation> violations);

  const Clock* const clock_;
  FileSystem* const file_system_;
  const LinkResolver resolver_;
  const SourceConfig config_;
  const TreeRules rules_;

  FileId remembered_root_;
  std::vector<Remembered> remembered_;  // in byte order of paths
  std::vector<FileStat> remembered_directories_;
  KnownListings listings_;   // of directories that had not changed for long when they were listed
  Instant unchanged_since_;  // when all was first found as it is remembered
  bool is_volume_ = false;   // has been a Kubernetes volume once, and stays one
  MountCheck mount_check_;
  absl::Time began_;  // when the reading under way began
  Instant began_at_;
};

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_SNAPSHOT_SNAPSHOT_READER_H_
