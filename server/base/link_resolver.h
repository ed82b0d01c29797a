// Where a configured path leads, and every directory entry that decides it.

#ifndef CONFSTREAM_SERVER_BASE_LINK_RESOLVER_H_
#define CONFSTREAM_SERVER_BASE_LINK_RESOLVER_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "server/base/file_system.h"
#include "server/base/mount_guard.h"
#include "server/base/unique_fd.h"

namespace confstream {

// The name of the link that kubelet's writer replaces atomically
// (pkg/volume/util/atomic_writer.go).
inline constexpr char kDataLink[] = "..data";

// One step of a resolution: the entry `name` of `directory` decides where the path leads.
struct Hop {
  std::string directory;  // absolute and free of links
  FileId directory_id;
  std::string name;
  std::string link_text;  // empty: the entry is no link, or missing
  FileStat entry;         // of the entry itself; default if it is missing
  // Stands for the directory, and keeps its identity from being reused; null: nobody holds it.
  std::shared_ptr<const UniqueFd> directory_fd;
};

// Names a hop without saying what it was found to be.
struct HopName {
  std::string directory;
  std::string name;
};

// The outcome of one resolution. Copies share the descriptor.
struct ResolvedPath {
  // OK: found. NOT_FOUND: the last hop's entry is missing. FAILED_PRECONDITION: the path cannot be
  // followed (a loop, a file where a directory is needed). UNAVAILABLE, and `guarded`: a guard
  // forbids to go on. Otherwise what the file system answered at the last hop.
  absl::Status status;
  std::string name;       // last component of the path that was asked for
  std::vector<Hop> hops;  // in the order they were taken
  bool guarded = false;   // not followed any further, since a MountGuard forbids it
  // If OK, what the path leads to; otherwise the last directory on the way that exists.
  std::string target;  // absolute and free of links
  FileStat target_stat;
  std::shared_ptr<const UniqueFd>
      target_fd;  // stands for the target, and keeps its identity from being reused
  std::vector<FileId>
      ancestors;  // the directories that lead to the target from `/`, itself included if it is one
  FileId generation_root;  // target of the last link on the way, else the target: what links inside
                           // may not leave
  bool kubernetes_volume = false;  // the last directory was entered through its `..data`

  // Holds nothing open from now on: a mount that somebody holds cannot be unmounted.
  void LetGo();
};

// True if both resolutions took the same hops, by directory, link text and identity, to the same
// file.
bool SameRoute(const ResolvedPath& a, const ResolvedPath& b);

// The last hop of the route that is a link `..data`: content behind it is complete when it is
// replaced. Null: none.
const Hop* FindDataHop(const ResolvedPath& route);

// Resolves paths by descriptor, without watching anything. Thread-safe.
class LinkResolver {
 public:
  // As many as Linux follows (MAXSYMLINKS).
  static constexpr int kMaxLinks = 40;
  // Components of a path, those of the links on it included. A path that Linux takes has 2048 at
  // most, and one that somebody means has few: the rest would only cost time.
  static constexpr int kMaxComponents = 1024;
  // A route holds its directories if it has no more hops than this.
  static constexpr size_t kMaxHeldHops = 64;

  // With `guard`, which outlives the resolver, what it forbids is not touched.
  explicit LinkResolver(FileSystem* file_system, const MountGuard* guard = nullptr)
      : file_system_(file_system), guard_(guard) {}

  // Follows `path`, and on through `..data` if it leads to a directory that has such a link. With
  // `is_volume` a directory without it is missing its `..data`, and not a plain directory.
  // REQUIRES: `path` is absolute.
  ResolvedPath ResolveSource(const std::string& path, bool is_volume) const;

  // True if ResolveSource(path, is_volume), which gave `route`, would give the same route now.
  // Takes a third of its time while the route holds its directories: nothing else can have come
  // under their identities, so an entry of one that is what it was leads to the next.
  bool StillLeads(const std::string& path, bool is_volume, const ResolvedPath& route) const;

  // Follows `path` as it is. Its hops hold nothing. REQUIRES: `path` is absolute.
  ResolvedPath Resolve(const std::string& path) const;

 private:
  class Walk;

  bool StillThere(const Hop& hop) const;

  FileSystem* const file_system_;
  const MountGuard* const guard_;
};

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_BASE_LINK_RESOLVER_H_
