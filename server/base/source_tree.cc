#include "server/base/source_tree.h"

#include <algorithm>
#include <cstddef>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace confstream {
namespace {

bool MatchesAny(const std::vector<PathGlob>& globs, const std::string& path) {
  return std::any_of(globs.begin(), globs.end(),
                     [&](const PathGlob& glob) { return glob.Matches(path); });
}

bool Includes(const TreeRules& rules, const std::string& path) {
  return rules.include.empty() || MatchesAny(rules.include, path);
}

constexpr absl::string_view kNotIncluded = "no glob of `include` matches it";

std::string Join(const std::string& directory, const std::string& name) {
  return absl::StrCat(directory == "/" ? "" : directory, "/", name);
}

// One listing under way.
class Lister {
 public:
  Lister(FileSystem* file_system, const ResolvedPath& resolved, const TreeRules& rules,
         const MountGuard* guard, const KnownListings* known)
      : file_system_(file_system),
        resolver_(file_system, guard),
        resolved_(resolved),
        rules_(rules),
        guard_(guard),
        known_(known) {
    roots_.push_back(resolved.generation_root);
    for (const std::string& root : rules.link_roots) {
      const ResolvedPath found = resolver_.Resolve(root);
      tree_.link_hops.insert(tree_.link_hops.end(), found.hops.begin(), found.hops.end());
      if (found.guarded) tree_.guarded.Update(found.status);
      if (found.status.ok()) roots_.push_back(found.target_stat.id);
    }
  }

  absl::StatusOr<SourceTree> Run() {
    // What it was when the path was resolved tells nothing of its names now.
    const auto root = file_system_->Stat(resolved_.target_fd->get());
    if (!root.ok()) return root.status();
    if (absl::Status status = ListFrom(resolved_.target, *root, "", resolved_.target_fd, 0);
        !status.ok()) {
      return status;
    }
    // They mostly are: only a file `a.b` beside a directory `a` comes before what is in that.
    const auto before = [](const TreeFile& a, const TreeFile& b) { return a.path < b.path; };
    if (!std::is_sorted(tree_.files.begin(), tree_.files.end(), before)) {
      std::sort(tree_.files.begin(), tree_.files.end(), before);
    }
    return std::move(tree_);
  }

 private:
  // Lists a directory, which `stat` is of, and what is below it. `depth` counts from the source's
  // root.
  absl::Status ListFrom(const std::string& path, const FileStat& stat, const std::string& prefix,
                        std::shared_ptr<const UniqueFd> fd, int depth) {
    if (depth > rules_.max_depth) {
      Refuse(prefix, "limits.depth",
             absl::StrCat("the directory is more than ", rules_.max_depth,
                          " levels deep: flatten the tree or raise limits.max_depth"));
      return absl::OkStatus();
    }
    const size_t index = tree_.directories.size();
    // Directories count like files, so that a tree of empty ones is bounded, too.
    if (index > static_cast<size_t>(rules_.max_files)) return RefuseCount();
    if (index >= max_directories_) return RefuseDirectories();
    auto listing = ListOne(fd->get(), stat, prefix);
    if (!listing.ok()) {
      return absl::Status(listing.status().code(),
                          absl::StrCat(path, ": ", listing.status().message()));
    }
    const TreeDirectory here{path, stat.id, prefix, std::move(fd), *std::move(listing)};
    tree_.directories.push_back(here);
    const std::vector<DirectoryEntry>& entries = here.listing->entries;
    if (entries.size() == MaxEntries()) return RefuseCount();
    chain_.push_back(stat.id);
    for (const DirectoryEntry& entry : entries) {
      if (full_) break;
      if (absl::Status status = Take(index, here, entry, depth); !status.ok()) return status;
    }
    chain_.pop_back();
    return absl::OkStatus();
  }

  absl::StatusOr<std::shared_ptr<const DirectoryListing>> ListOne(int fd, const FileStat& stat,
                                                                  const std::string& prefix) {
    if (known_ != nullptr) {
      const auto found = known_->find(prefix);
      if (found != known_->end() && found->second->stat == stat) return found->second;
    }
    auto entries = file_system_->List(fd, MaxEntries());
    if (!entries.ok()) return entries.status();
    std::sort(entries->begin(), entries->end(),
              [](const DirectoryEntry& a, const DirectoryEntry& b) { return a.name < b.name; });
    return std::make_shared<const DirectoryListing>(DirectoryListing{stat, *std::move(entries)});
  }

  // Takes an entry of `parent`, which has the index `directory`.
  absl::Status Take(size_t directory, const TreeDirectory& parent, const DirectoryEntry& entry,
                    int depth) {
    const absl::string_view why =
        WhyLeftOut(rules_, resolved_.kubernetes_volume, parent.prefix, entry.name);
    std::string path = absl::StrCat(parent.prefix, entry.name);
    if (!why.empty()) {
      LeaveOut(path, why);
      return absl::OkStatus();
    }
    if (Forbidden(parent, entry.name)) return absl::OkStatus();
    std::shared_ptr<const UniqueFd> fd;
    FileStat stat;
    std::optional<FileKind> kind = entry.kind;
    if (!kind.has_value() || *kind == FileKind::kDirectory) {
      auto opened = file_system_->OpenEntry(parent.fd->get(), entry.name);
      if (!opened.ok()) return opened.status();
      const auto found = file_system_->Stat(opened->get());
      if (!found.ok()) return found.status();
      fd = std::make_shared<const UniqueFd>(*std::move(opened));
      stat = *found;
      kind = stat.kind;
    }
    switch (*kind) {
      case FileKind::kRegular:
        return TakeFile({std::move(path), directory, entry.name, std::nullopt});
      case FileKind::kDirectory:
        return ListFrom(Join(parent.path, entry.name), stat, absl::StrCat(path, "/"), std::move(fd),
                        depth + 1);
      case FileKind::kLink:
        return TakeLink(directory, parent, entry.name, depth);
      case FileKind::kOther:
        break;
    }
    if (Included(path)) RefuseSpecial(path);
    return absl::OkStatus();
  }

  absl::Status TakeFile(TreeFile file) {
    if (!Included(file.path)) {
      LeaveOut(file.path, kNotIncluded);
      return absl::OkStatus();
    }
    if (tree_.files.size() == static_cast<size_t>(rules_.max_files)) return RefuseCount();
    tree_.files.push_back(std::move(file));
    return absl::OkStatus();
  }

  absl::Status TakeLink(size_t directory, const TreeDirectory& parent, const std::string& name,
                        int depth) {
    const std::string path = absl::StrCat(parent.prefix, name);
    ResolvedPath link = resolver_.Resolve(Join(parent.path, name));
    tree_.link_hops.insert(tree_.link_hops.end(), link.hops.begin(), link.hops.end());
    if (tree_.link_hops.size() > MaxLinkHops()) return RefuseLinks();
    if (link.guarded) {
      tree_.guarded.Update(link.status);
      return absl::OkStatus();
    }
    if (!link.status.ok()) {
      // A name or text that is too long is INVALID_ARGUMENT.
      if (absl::IsNotFound(link.status) || absl::IsFailedPrecondition(link.status) ||
          absl::IsInvalidArgument(link.status)) {
        if (Included(path)) {
          Refuse(path, "link.dangling",
                 absl::StrCat("the link leads nowhere (", link.status.message(),
                              "): mend it, remove it or exclude it"));
        }
        return absl::OkStatus();
      }
      return link.status;
    }
    const bool confined = std::any_of(roots_.begin(), roots_.end(), [&](const FileId& root) {
      return std::find(link.ancestors.begin(), link.ancestors.end(), root) != link.ancestors.end();
    });
    if (!confined) {
      // Below a directory there may be what is included.
      if (link.target_stat.kind != FileKind::kDirectory && !Included(path)) {
        LeaveOut(path, kNotIncluded);
        return absl::OkStatus();
      }
      Refuse(path, "link.confinement",
             absl::StrCat("the link leads out of the source, to ", link.target,
                          ": move the target into the source, or list its directory in "
                          "link_roots"));
      return absl::OkStatus();
    }
    switch (link.target_stat.kind) {
      case FileKind::kRegular:
        if (Included(path)) {
          tree_.link_targets.push_back({link.hops.back().directory, link.hops.back().name});
        }
        return TakeFile({path, directory, name, link.target_stat.id});
      case FileKind::kDirectory:
        if (std::find(chain_.begin(), chain_.end(), link.target_stat.id) != chain_.end()) {
          Refuse(path, "link.loop",
                 "the link leads to a directory that it is in itself: remove it or exclude it");
          return absl::OkStatus();
        }
        return ListFrom(link.target, link.target_stat, absl::StrCat(path, "/"), link.target_fd,
                        depth + 1);
      case FileKind::kLink:
      case FileKind::kOther:
        break;
    }
    if (Included(path)) RefuseSpecial(path);
    return absl::OkStatus();
  }

  bool Forbidden(const TreeDirectory& parent, const std::string& name) {
    if (guard_ == nullptr) return false;
    const absl::Status status = guard_->MayTouch(Join(parent.path, name));
    tree_.guarded.Update(status);
    return !status.ok();
  }

  bool Included(const std::string& path) const { return Includes(rules_, path); }

  void LeaveOut(const std::string& path, absl::string_view why) {
    if (tree_.left_out.count++ > 0) return;
    tree_.left_out.path = path;
    tree_.left_out.why = std::string(why);
  }

  // Enough for links everywhere that lead through as many directories as a path usually has.
  size_t MaxLinkHops() const { return 8 * static_cast<size_t>(rules_.max_files) + 10000; }

  size_t MaxEntries() const { return 2 * static_cast<size_t>(rules_.max_files) + 1000; }

  void Refuse(const std::string& path, const std::string& rule, std::string message) {
    tree_.refusals.push_back({path, rule, std::move(message)});
  }

  void RefuseSpecial(const std::string& path) {
    Refuse(path, "file.type",
           "neither a regular file nor a directory nor a link: remove it or exclude it");
  }

  absl::Status RefuseDirectories() {
    if (!full_) {
      Refuse("", "limits.directories",
             absl::StrCat("more than ", max_directories_,
                          " directories, links to directories included, which is an eighth of the "
                          "descriptors that the server may have: flatten the tree, exclude some or "
                          "raise the limit of open files (ulimit -n)"));
    }
    full_ = true;
    return absl::OkStatus();
  }

  absl::Status RefuseLinks() {
    if (!full_) {
      Refuse("", "limits.links",
             absl::StrCat("the links lead through more than ", MaxLinkHops(),
                          " names in all: shorten their texts, remove some, exclude some or raise "
                          "limits.max_files"));
    }
    full_ = true;
    return absl::OkStatus();
  }

  absl::Status RefuseCount() {
    if (!full_) {
      Refuse("", "limits.files",
             absl::StrCat("more than ", rules_.max_files,
                          " files or directories: exclude some or raise limits.max_files"));
    }
    full_ = true;
    return absl::OkStatus();
  }

  FileSystem* const file_system_;
  const LinkResolver resolver_;
  const ResolvedPath& resolved_;
  const TreeRules& rules_;
  const MountGuard* const guard_;
  const KnownListings* const known_;
  std::vector<FileId> roots_;
  std::vector<FileId> chain_;  // the directories that the listing is inside of
  const size_t max_directories_ = DescriptorShare();  // each is held open
  bool full_ = false;
  SourceTree tree_;
};

}  // namespace

bool IsTransientName(absl::string_view name) {
  const auto all_hidden_suffix = [&] {
    // rsync writes `.NAME.XXXXXX`, six characters by mkstemp.
    if (name.size() < 9 || name[0] != '.') return false;
    return name[name.size() - 7] == '.';
  };
  return absl::EndsWith(name, "~") || absl::StartsWith(name, ".#") ||
         (name.size() > 1 && name.front() == '#' && name.back() == '#') ||
         absl::EndsWith(name, ".swp") || absl::EndsWith(name, ".swx") || name == "4913" ||
         name == ".git" || absl::StartsWith(name, ".nfs") || name == ".~tmp~" ||
         all_hidden_suffix();
}

absl::string_view WhyLeftOut(const TreeRules& rules, bool kubernetes_volume,
                             absl::string_view prefix, absl::string_view name) {
  if (absl::StartsWith(name, "..")) return "names that begin with `..` are kubelet's own";
  if (!kubernetes_volume && IsTransientName(name)) {
    return "editors and copying programs use such names for what is not finished";
  }
  if (!rules.exclude.empty() && MatchesAny(rules.exclude, absl::StrCat(prefix, name))) {
    return "a glob of `exclude` matches it";
  }
  return "";
}

absl::string_view WhyFileLeftOut(const TreeRules& rules, bool kubernetes_volume,
                                 absl::string_view prefix, absl::string_view name) {
  const absl::string_view why = WhyLeftOut(rules, kubernetes_volume, prefix, name);
  if (!why.empty() || Includes(rules, absl::StrCat(prefix, name))) return why;
  return kNotIncluded;
}

absl::StatusOr<SourceTree> ListSourceTree(FileSystem* file_system, const ResolvedPath& resolved,
                                          const TreeRules& rules, const MountGuard* guard,
                                          const KnownListings* known) {
  if (resolved.target_stat.kind == FileKind::kDirectory) {
    return Lister(file_system, resolved, rules, guard, known).Run();
  }
  SourceTree tree;
  const std::string& name = resolved.name;
  if (resolved.target_stat.kind == FileKind::kRegular) {
    tree.files.push_back({name, 0, name, std::nullopt});
    tree.single = resolved.target_fd;
  } else {
    tree.refusals.push_back({name, "file.type",
                             "the source is neither a regular file nor a directory: configure "
                             "another path"});
  }
  return tree;
}

absl::StatusOr<FileStat> StatListed(FileSystem* file_system, const SourceTree& tree,
                                    const TreeFile& file) {
  if (tree.single == nullptr && !file.target.has_value()) {
    return file_system->StatEntry(tree.directories[file.directory].fd->get(), file.name);
  }
  const auto fd = OpenListed(file_system, tree, file);
  if (!fd.ok()) return fd.status();
  return file_system->Stat((*fd)->get());
}

absl::StatusOr<UniqueFd> OpenWithoutLinks(FileSystem* file_system, const ResolvedPath& resolved,
                                          absl::string_view path) {
  UniqueFd fd;
  for (const absl::string_view name : absl::StrSplit(path, '/')) {
    auto next = file_system->OpenEntry(fd.valid() ? fd.get() : resolved.target_fd->get(),
                                       std::string(name));
    if (!next.ok()) return next.status();
    fd = *std::move(next);
  }
  return fd;
}

absl::StatusOr<std::shared_ptr<const UniqueFd>> OpenListed(FileSystem* file_system,
                                                           const SourceTree& tree,
                                                           const TreeFile& file) {
  if (tree.single != nullptr) return tree.single;
  const TreeDirectory& directory = tree.directories[file.directory];
  if (!file.target.has_value()) {
    auto fd = file_system->OpenEntry(directory.fd->get(), file.name);
    if (!fd.ok()) return fd.status();
    return std::make_shared<const UniqueFd>(*std::move(fd));
  }
  // Its link is followed once more: descriptors for thousands of targets would be missed elsewhere.
  ResolvedPath link = LinkResolver(file_system).Resolve(Join(directory.path, file.name));
  if (!link.status.ok()) return link.status;
  if (link.target_stat.id != *file.target) {
    return absl::NotFoundError("its link was retargeted while it was being read");
  }
  return std::move(link.target_fd);
}

}  // namespace confstream
