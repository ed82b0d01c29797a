#include "server/watch/watch_plan.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/base/text.h"

namespace confstream {
namespace {

// How often a plan is made anew while the source leads elsewhere each time, before the caller takes
// a pause.
constexpr int kMaxAttempts = 5;

bool SameDirectories(const SourceTree& a, const SourceTree& b) {
  return std::equal(a.directories.begin(), a.directories.end(), b.directories.begin(),
                    b.directories.end(), [](const TreeDirectory& x, const TreeDirectory& y) {
                      return x.id == y.id && x.path == y.path;
                    });
}

// True if the file system itself says that things are not as they were a moment ago.
bool ChangedUnderneath(const absl::Status& status) {
  return absl::IsNotFound(status) || absl::IsFailedPrecondition(status);
}

}  // namespace

WatchPlan::WatchPlan(FileSystem* file_system, const MountGuard* guard, EventSource* events,
                     const SourceConfig& config)
    : file_system_(file_system),
      guard_(guard),
      events_(events),
      path_(config.path),
      rules_(config.tree_rules()),
      resolver_(file_system, guard) {}

WatchPlan::~WatchPlan() { Release(watched_); }

WatchPlan::Look WatchPlan::LookAgain() {
  ResolvedPath route = resolver_.ResolveSource(path_, is_volume_);
  is_volume_ = is_volume_ || route.kubernetes_volume;
  return LookAt(std::move(route));
}

WatchPlan::Look WatchPlan::LookAt(ResolvedPath route) const {
  Look look;
  look.route = std::move(route);
  if (!look.route.status.ok()) return look;
  auto tree = ListSourceTree(file_system_, look.route, rules_, guard_);
  if (!tree.ok()) {
    look.listing = tree.status();
    return look;
  }
  look.tree = *std::move(tree);
  // Watches are set by path: at rest, and while looking again, no descriptor is held for each
  // directory.
  for (TreeDirectory& directory : look.tree.directories) directory.fd.reset();
  look.tree.single.reset();
  return look;
}

WatchPlan::Armed WatchPlan::Arm() {
  Armed armed;
  Look look = LookAgain();
  for (int attempt = 1;; ++attempt) {
    WatchedMap watched;
    armed.watching = Unwatchable(look);
    armed.may_hang = look.route.guarded || !look.tree.guarded.ok();
    const absl::Status changed = WatchAll(look, &watched, &armed);
    // What came into being between resolving and watching sent no event: only looking again shows
    // it.
    Look again =
        resolver_.StillLeads(path_, is_volume_, look.route) ? LookAt(look.route) : LookAgain();
    armed.route_agreed = SameRoute(look.route, again.route);
    armed.agreed = armed.route_agreed && changed.ok() && !ChangedUnderneath(look.listing) &&
                   SameDirectories(look.tree, again.tree);
    armed.rerouted = armed.rerouted || !SameRoute(route_, again.route);
    std::swap(watched_, watched);
    Release(watched);  // the old ones, now that the new ones are held
    has_tree_links_ = !look.tree.link_hops.empty();
    route_ = again.route;
    // At rest nothing is held open: whoever wants to unmount the volume would be told that it is
    // busy. What takes the place of the target, even under its inode number, sends an event.
    route_.LetGo();
    armed.route = std::move(again.route);
    if (armed.route_agreed || attempt == kMaxAttempts) return armed;
    look.route = armed.route;
    look.tree = std::move(again.tree);
    look.listing = std::move(again.listing);
  }
}

absl::Status WatchPlan::Unwatchable(const Look& look) const {
  if (look.route.guarded) return look.route.status;
  if (!look.tree.guarded.ok()) return look.tree.guarded;
  // Too many open files, no permission: what it has is not known, so some of it is not watched.
  if (!look.listing.ok() && !ChangedUnderneath(look.listing)) return look.listing;
  // What is written to a mounted file is told to watchers of the directory that it was mounted
  // from.
  const auto mounted_file = [](const std::string& path) {
    return absl::UnavailableError(absl::StrCat(
        EscapeForDisplay(path), " is a mounted file, and its directory does not tell of changes"));
  };
  if (look.tree.directories.empty()) {
    return look.route.status.ok() && guard_->IsMountPoint(look.route.target)
               ? mounted_file(look.route.target)
               : absl::OkStatus();
  }
  for (const TreeFile& file : look.tree.files) {
    const std::string path =
        absl::StrCat(look.tree.directories[file.directory].path, "/", file.name);
    if (guard_->IsMountPoint(path)) return mounted_file(path);
  }
  return absl::OkStatus();
}

absl::Status WatchPlan::WatchAll(const Look& look, WatchedMap* watched, Armed* armed) {
  absl::Status changed;
  const auto watch = [&](const std::string& directory, WatchInterest interest) -> Watched* {
    Watched* entry = nullptr;
    absl::Status status = WatchOne(directory, interest, watched, armed, &entry);
    changed.Update(status);
    return entry;
  };
  for (const Hop& hop : look.route.hops) {
    if (Watched* entry = watch(hop.directory, WatchInterest::kEntries))
      entry->hops.insert(hop.name);
  }
  // What stands in the way may also be a file, which cannot be watched like this: its own hop
  // tells.
  if (!look.route.status.ok() && !look.route.target.empty() &&
      look.route.target_stat.kind == FileKind::kDirectory) {
    if (Watched* entry = watch(look.route.target, WatchInterest::kEntries)) entry->is_end = true;
  }
  if (look.route.status.ok() && look.route.target_stat.kind != FileKind::kDirectory) {
    const Hop& last = look.route.hops.back();
    if (Watched* entry = watch(last.directory, WatchInterest::kContents)) {
      entry->files.insert(last.name);
    }
  }
  for (const TreeDirectory& directory : look.tree.directories) {
    Watched* entry = watch(directory.path, WatchInterest::kContents);
    if (entry == nullptr) continue;
    entry->prefixes.push_back(directory.prefix);
    // A plain directory becomes a Kubernetes volume when this link appears.
    if (directory.prefix.empty() && !is_volume_) entry->hops.insert(kDataLink);
  }
  for (const Hop& hop : look.tree.link_hops) {
    if (Watched* entry = watch(hop.directory, WatchInterest::kEntries)) {
      entry->tree_hops.insert(hop.name);
    }
  }
  for (const HopName& file : look.tree.link_targets) {
    if (Watched* entry = watch(file.directory, WatchInterest::kContents)) {
      entry->files.insert(file.name);
    }
  }
  return changed;
}

absl::Status WatchPlan::WatchOne(const std::string& directory, WatchInterest interest,
                                 WatchedMap* watched, Armed* armed, Watched** entry) {
  const absl::StatusOr<WatchId> watch = events_->Watch(directory, interest);
  if (!watch.ok()) {
    if (ChangedUnderneath(watch.status())) return watch.status();
    armed->watching.Update(watch.status());
    return absl::OkStatus();
  }
  if (!watched_.contains(*watch)) armed->grown = true;
  *entry = &(*watched)[*watch];
  ++(*entry)->references;
  (*entry)->directory = directory;
  return absl::OkStatus();
}

void WatchPlan::Release(const WatchedMap& watched) {
  for (const auto& [watch, entry] : watched) {
    for (int i = 0; i < entry.references; ++i) events_->Unwatch(watch);
  }
}

EventMeaning WatchPlan::Interpret(const WatchEvent& event) const {
  EventMeaning meaning;
  const auto found = watched_.find(event.watch);
  if (found == watched_.end()) return meaning;
  const Watched& watched = found->second;
  if (event.kind == WatchEvent::kWatchEnded) {
    meaning.what = EventMeaning::kChange;
    meaning.touched_all = meaning.watch_ended = true;
    // The end of a directory of the tree changes the tree only.
    meaning.route_may_differ = watched.prefixes.empty() || !watched.hops.empty();
    meaning.directory_came_or_went = !meaning.route_may_differ;
    return meaning;
  }
  const bool entry_came_or_went =
      event.kind == WatchEvent::kCreated || event.kind == WatchEvent::kMovedIn ||
      event.kind == WatchEvent::kMovedOut || event.kind == WatchEvent::kDeleted;
  const bool is_hop = watched.hops.contains(event.name);
  if (entry_came_or_went && (is_hop || watched.tree_hops.contains(event.name))) {
    const bool commit = is_hop && event.kind == WatchEvent::kMovedIn;
    meaning.what = commit ? EventMeaning::kCommit : EventMeaning::kChange;
    meaning.hop = {watched.directory, event.name};
    meaning.touched_all = true;
    meaning.route_may_differ = is_hop;
    meaning.directory_came_or_went = !is_hop;
    return meaning;
  }
  // If this is a mount that is being torn down, the end of its last entries is all that is told:
  // not that of its root.
  if (watched.is_end && event.kind == WatchEvent::kDeleted) {
    meaning.what = EventMeaning::kChange;
    return meaning;
  }
  InterpretContent(watched, event, &meaning);
  return meaning;
}

std::vector<Mount> WatchPlan::ConcernedMounts(const MountTable& mounts) const {
  std::vector<Mount> concerned = mounts.Below(route_.target);
  for (const Hop& hop : route_.hops) {
    const std::vector<Mount> passed =
        mounts.OnTheWay(absl::StrCat(hop.directory == "/" ? "" : hop.directory, "/", hop.name));
    concerned.insert(concerned.end(), passed.begin(), passed.end());
  }
  return concerned;
}

void WatchPlan::InterpretContent(const Watched& watched, const WatchEvent& event,
                                 EventMeaning* meaning) const {
  if (watched.files.contains(event.name)) {
    meaning->touched_all = true;
  } else {
    // What is written to a file that is not included is nobody's business; but what comes under its
    // name may be a directory, or a link to one.
    const bool content = event.kind == WatchEvent::kModified ||
                         event.kind == WatchEvent::kClosedAfterWrite ||
                         event.kind == WatchEvent::kAttributes;
    const auto why_not = content && !event.is_directory ? &WhyFileLeftOut : &WhyLeftOut;
    for (const std::string& prefix : watched.prefixes) {
      const absl::string_view why =
          event.name.empty() ? "" : why_not(rules_, route_.kubernetes_volume, prefix, event.name);
      const std::string path = absl::StrCat(prefix, event.name);
      if (why.empty()) {
        meaning->touched.push_back(path);
      } else {
        meaning->left_out = absl::StrCat(path, " is not read, since ", why);
      }
    }
    if (meaning->touched.empty()) {
      const bool beside_data = watched.hops.contains(kDataLink) && route_.kubernetes_volume;
      if (watched.prefixes.empty() && beside_data && !absl::StartsWith(event.name, "..")) {
        meaning->left_out =
            absl::StrCat(event.name,
                         " is not read, since of a volume with a link `..data` only what is behind "
                         "the link is");
      }
      return;
    }
    // Behind a link one file has several paths, and in a directory that came or went every file is
    // concerned.
    meaning->touched_all = has_tree_links_ || event.is_directory || event.name.empty();
  }
  meaning->file = absl::StrCat(event.watch, "/", event.name);
  switch (event.kind) {
    case WatchEvent::kModified:
      meaning->what = EventMeaning::kWriting;
      return;
    case WatchEvent::kClosedAfterWrite:
      meaning->what = EventMeaning::kClosed;
      return;
    default:
      break;
  }
  meaning->what = EventMeaning::kChange;
  if (event.kind != WatchEvent::kAttributes) {
    meaning->directory_came_or_went = event.is_directory;
    meaning->tree_may_differ = true;
  }
}

}  // namespace confstream
