#include "tests/fuzz/tree_oracle.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace confstream {
namespace {

std::string Parent(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == 0 ? "/" : path.substr(0, slash);
}

bool IsInside(const std::string& path, const std::string& directory) {
  return directory == "/" || path == directory || absl::StartsWith(path, directory + "/");
}

bool MatchesAny(const std::vector<PathGlob>& globs, const std::string& path) {
  return std::any_of(globs.begin(), globs.end(),
                     [&](const PathGlob& glob) { return glob.Matches(path); });
}

}  // namespace

std::string TreeOracle::Join(const std::string& directory, const std::string& name) {
  return absl::StrCat(directory == "/" ? "" : directory, "/", name);
}

void TreeOracle::Add(absl::string_view path, FileKind kind, std::string text) {
  const std::vector<std::string> names = absl::StrSplit(path, '/', absl::SkipEmpty());
  std::string at = "/";
  for (size_t i = 0; i < names.size(); ++i) {
    at = Join(at, names[i]);
    entries_.emplace(at,
                     i + 1 == names.size() ? Entry{kind, text} : Entry{FileKind::kDirectory, ""});
  }
}

// Follows texts by recursion.
class TreeOracle::Walk {
 public:
  explicit Walk(const TreeOracle& oracle) : oracle_(oracle) {}

  bool Follow(absl::string_view text) {
    if (absl::StartsWith(text, "/")) at_ = "/";
    for (const absl::string_view component : absl::StrSplit(text, '/', absl::SkipEmpty())) {
      if (component == ".") continue;
      if (KindHere() != FileKind::kDirectory) return false;
      if (component == "..") {
        at_ = Parent(at_);
      } else if (!Take(std::string(component))) {
        return false;
      }
    }
    return true;
  }

  FileKind KindHere() const { return oracle_.entries_.at(at_).kind; }
  Place Finish() const { return {true, at_, last_target_.empty() ? at_ : last_target_}; }
  const std::string& at() const { return at_; }

 private:
  bool Take(const std::string& component) {
    const auto found = oracle_.entries_.find(Join(at_, component));
    if (found == oracle_.entries_.end()) return false;
    if (found->second.kind != FileKind::kLink) {
      at_ = found->first;
      return true;
    }
    if (++links_ > 40) return false;
    const int links = links_;
    if (!Follow(found->second.text)) return false;
    if (links == links_) last_target_ = at_;  // no other link was followed after this one
    return true;
  }

  const TreeOracle& oracle_;
  std::string at_ = "/";
  std::string last_target_;
  int links_ = 0;
};

TreeOracle::Place TreeOracle::Resolve(const std::string& path) const {
  Walk walk(*this);
  return walk.Follow(path) ? walk.Finish() : Place();
}

TreeOracle::Place TreeOracle::ResolveSource(const std::string& path, bool is_volume) const {
  Walk walk(*this);
  if (!walk.Follow(path)) return Place();
  if (walk.KindHere() == FileKind::kDirectory) {
    const auto data = entries_.find(Join(walk.at(), kDataLink));
    const bool has_link = data != entries_.end() && data->second.kind == FileKind::kLink;
    if ((is_volume || has_link) && !walk.Follow(kDataLink)) return Place();
  }
  return walk.Finish();
}

// Goes through a source as its paths are.
class TreeOracle::Lister {
 public:
  Lister(const TreeOracle& oracle, const Place& source, bool volume, const TreeRules& rules)
      : oracle_(oracle), volume_(volume), rules_(rules), roots_({source.root}) {
    for (const std::string& root : rules.link_roots) {
      const Place place = oracle.Resolve(root);
      if (place.found) roots_.push_back(place.path);
    }
  }

  // `real` is the directory, `prefix` what paths in it begin with.
  void Directory(const std::string& real, const std::string& prefix, int depth) {
    if (depth > rules_.max_depth) {
      listing_.refusals.emplace(prefix, "limits.depth");
      return;
    }
    // Goes on for a while behind the limit, to hold all that a cut listing may show.
    if (++directories_ > rules_.max_files + 1) listing_.cut = true;
    if (directories_ > rules_.max_files + 200) return;
    chain_.push_back(real);
    for (const auto& [path, entry] : oracle_.entries_) {
      if (path == "/" || Parent(path) != real) continue;
      const std::string name = path.substr(path.rfind('/') + 1);
      if (WhyLeftOut(rules_, volume_, prefix, name).empty())
        Take(path, entry, prefix + name, depth);
    }
    chain_.pop_back();
  }

  void File(const std::string& path, const std::string& real) {
    if (!Included(path)) return;
    listing_.files.emplace(path, real);
    if (static_cast<int64_t>(listing_.files.size()) > rules_.max_files) listing_.cut = true;
  }

  Listing Finish() { return std::move(listing_); }

 private:
  void Take(const std::string& real, const Entry& entry, const std::string& path, int depth) {
    if (entry.kind == FileKind::kRegular) {
      File(path, real);
    } else if (entry.kind == FileKind::kDirectory) {
      Directory(real, path + "/", depth + 1);
    } else if (entry.kind == FileKind::kLink) {
      Link(real, path, depth);
    } else {
      Refuse(path, "file.type");
    }
  }

  void Link(const std::string& real, const std::string& path, int depth) {
    const Place place = oracle_.Resolve(real);
    if (!place.found) return Refuse(path, "link.dangling");
    const FileKind kind = oracle_.entries_.at(place.path).kind;
    const bool confined = std::any_of(roots_.begin(), roots_.end(), [&](const std::string& root) {
      return oracle_.entries_.at(root).kind == FileKind::kDirectory && IsInside(place.path, root);
    });
    // A directory, and what leads in a circle, is refused whether included or not: what is in it is
    // not known unless it is entered.
    if (!confined && kind != FileKind::kDirectory) {
      Refuse(path, "link.confinement");
    } else if (!confined) {
      listing_.refusals.emplace(path, "link.confinement");
    } else if (kind == FileKind::kRegular) {
      File(path, place.path);
    } else if (kind != FileKind::kDirectory) {
      Refuse(path, "file.type");
    } else if (std::find(chain_.begin(), chain_.end(), place.path) != chain_.end()) {
      listing_.refusals.emplace(path, "link.loop");
    } else {
      Directory(place.path, path + "/", depth + 1);
    }
  }

  bool Included(const std::string& path) const {
    return rules_.include.empty() || MatchesAny(rules_.include, path);
  }
  void Refuse(const std::string& path, const std::string& rule) {
    if (Included(path)) listing_.refusals.emplace(path, rule);
  }

  const TreeOracle& oracle_;
  const bool volume_;
  const TreeRules& rules_;
  std::vector<std::string> roots_;
  std::vector<std::string> chain_;
  int64_t directories_ = 0;
  Listing listing_;
};

TreeOracle::Listing TreeOracle::List(const Place& source, const std::string& name, bool volume,
                                     const TreeRules& rules) const {
  Lister lister(*this, source, volume, rules);
  const FileKind kind = entries_.at(source.path).kind;
  if (kind == FileKind::kDirectory) {
    lister.Directory(source.path, "", 0);
    return lister.Finish();
  }
  Listing listing;
  if (kind == FileKind::kRegular) {
    listing.files.emplace(name, source.path);
  } else {
    listing.refusals.emplace(name, "file.type");
  }
  return listing;
}

}  // namespace confstream
