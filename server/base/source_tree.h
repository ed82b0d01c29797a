// What belongs to a source, found below its resolved path: the one answer for watching and for
// reading.

#ifndef CONFSTREAM_SERVER_BASE_SOURCE_TREE_H_
#define CONFSTREAM_SERVER_BASE_SOURCE_TREE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/base/file_system.h"
#include "server/base/link_resolver.h"
#include "server/base/path_glob.h"

namespace confstream {

// What to take and what to leave in a tree.
struct TreeRules {
  std::vector<PathGlob> include;  // empty: all
  std::vector<PathGlob> exclude;
  std::vector<std::string>
      link_roots;  // directories that links inside may lead into, besides the tree's own root
  int64_t max_files = 0;
  int max_depth = 0;
};

// What is in a directory.
struct DirectoryListing {
  FileStat stat;                        // of the directory, from before it was listed
  std::vector<DirectoryEntry> entries;  // in byte order of names
};

// Listings that hold for as long as their directories look the same, by TreeDirectory::prefix.
using KnownListings = absl::flat_hash_map<std::string, std::shared_ptr<const DirectoryListing>>;

// A directory whose files are read.
struct TreeDirectory {
  std::string path;  // absolute and free of links
  FileId id;
  std::string prefix;  // what the relative paths of its files begin with: empty, or ending in `/`
  std::shared_ptr<const UniqueFd> fd;  // stands for it
  std::shared_ptr<const DirectoryListing> listing;
};

// A regular file, or what is at the end of a link to one. Not opened yet.
struct TreeFile {
  std::string path;              // relative to the source
  size_t directory = 0;          // index of its directory
  std::string name;              // its name there
  std::optional<FileId> target;  // set if it was found through a link, to this file
};

// A reason why this tree cannot be a generation.
struct TreeRefusal {
  std::string path;  // relative; empty: the whole tree
  std::string rule;
  std::string message;
};

// What the rules leave out of a tree.
struct LeftOut {
  int64_t count = 0;  // entries; what is in a directory that is left out does not count
  std::string path;   // the first that was found, relative
  std::string why;    // as WhyLeftOut says
};

// Result of a listing.
struct SourceTree {
  std::vector<TreeDirectory> directories;  // the root first; empty for a source that is one file
  std::vector<TreeFile> files;             // in byte order of paths
  std::shared_ptr<const UniqueFd> single;  // stands for a source that is one file
  std::vector<Hop> link_hops;  // what decides where links inside the tree, and link roots, lead
  std::vector<HopName> link_targets;  // the files that links inside the tree lead to, if included
  std::vector<TreeRefusal> refusals;
  LeftOut left_out;
  absl::Status guarded;  // not OK: a MountGuard forbids to look at a part of the tree
};

// True for the names of what editors and copying programs leave in plain directories while they
// work.
bool IsTransientName(absl::string_view name);

// Lists the tree. `resolved` must have been found. Fails with what the file system answers if it
// changes underneath. With `guard`, directories and links that it forbids are left out, and
// `guarded` of the tree says why. Directories that look as in `known` are not listed again.
absl::StatusOr<SourceTree> ListSourceTree(FileSystem* file_system, const ResolvedPath& resolved,
                                          const TreeRules& rules, const MountGuard* guard = nullptr,
                                          const KnownListings* known = nullptr);

// What the file that was listed is now: it, or whatever has taken its place under its name.
// NOT_FOUND: nothing, or its link leads elsewhere.
absl::StatusOr<FileStat> StatListed(FileSystem* file_system, const SourceTree& tree,
                                    const TreeFile& file);

// Stands for what is at `path`, relative to the source, which is a directory. Follows no link:
// below one there is nothing.
absl::StatusOr<UniqueFd> OpenWithoutLinks(FileSystem* file_system, const ResolvedPath& resolved,
                                          absl::string_view path);

// Stands for the file that was listed. NOT_FOUND: another has taken its place.
absl::StatusOr<std::shared_ptr<const UniqueFd>> OpenListed(FileSystem* file_system,
                                                           const SourceTree& tree,
                                                           const TreeFile& file);

// Why the entry `name` of a directory with `prefix` is no part of the source, as far as its name
// tells; empty: it may be one.
absl::string_view WhyLeftOut(const TreeRules& rules, bool kubernetes_volume,
                             absl::string_view prefix, absl::string_view name);
// The same for one that is no directory.
absl::string_view WhyFileLeftOut(const TreeRules& rules, bool kubernetes_volume,
                                 absl::string_view prefix, absl::string_view name);

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_BASE_SOURCE_TREE_H_
