#include "server/base/link_resolver.h"

#include <deque>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace confstream {
namespace {

std::string Join(const std::string& directory, const std::string& name) {
  return directory == "/" ? absl::StrCat("/", name) : absl::StrCat(directory, "/", name);
}

bool SameHop(const Hop& a, const Hop& b) {
  return a.directory == b.directory && a.directory_id == b.directory_id && a.name == b.name &&
         a.link_text == b.link_text && a.entry.id == b.entry.id &&
         // A link is not held open, so its inode number may be another link's by now.
         (a.entry.kind != FileKind::kLink || a.entry.ctime == b.entry.ctime);
}

}  // namespace

void ResolvedPath::LetGo() {
  target_fd.reset();
  for (Hop& hop : hops) hop.directory_fd.reset();
}

bool SameRoute(const ResolvedPath& a, const ResolvedPath& b) {
  if (a.status.code() != b.status.code() || a.hops.size() != b.hops.size() ||
      a.kubernetes_volume != b.kubernetes_volume) {
    return false;
  }
  for (size_t i = 0; i < a.hops.size(); ++i) {
    if (!SameHop(a.hops[i], b.hops[i])) return false;
  }
  return !a.status.ok() || (a.target == b.target && a.target_stat.id == b.target_stat.id);
}

const Hop* FindDataHop(const ResolvedPath& route) {
  for (auto hop = route.hops.rbegin(); hop != route.hops.rend(); ++hop) {
    if (hop->name == kDataLink && !hop->link_text.empty()) return &*hop;
  }
  return nullptr;
}

// One resolution under way: where it stands, and the components still to be taken.
class LinkResolver::Walk {
 public:
  Walk(FileSystem* file_system, const MountGuard* guard)
      : file_system_(file_system), guard_(guard) {}

  // Takes every component of `path`. On failure result().status says why.
  void Follow(const std::string& path) {
    Prepend(path);
    if (!pending_.empty()) result_.name = pending_.back();
    if (!Enter("/")) return;
    while (result_.status.ok() && !pending_.empty()) {
      const std::string component = std::move(pending_.front());
      pending_.pop_front();
      Take(component);
      NoteLinkTarget();
    }
  }

  // True if the directory where the walk stands has a link `..data`. If the file system does not
  // say, the walk fails: a volume taken for a plain directory would be read through its links, one
  // by one.
  bool HasDataLink() {
    if (Forbidden(Join(Here().path, kDataLink))) return false;
    const auto entry = file_system_->OpenEntry(Here().fd->get(), kDataLink);
    if (absl::IsNotFound(entry.status())) return false;
    if (!entry.ok()) return Fail(entry.status());
    const auto stat = file_system_->Stat(entry->get());
    if (!stat.ok()) return Fail(stat.status());
    return stat->kind == FileKind::kLink;
  }

  // Goes on from the directory where the walk stands.
  void FollowDataLink() {
    pending_.push_front(kDataLink);
    file_.reset();
    while (result_.status.ok() && !pending_.empty()) {
      const std::string component = std::move(pending_.front());
      pending_.pop_front();
      Take(component);
      NoteLinkTarget();
    }
    result_.kubernetes_volume = true;
  }

  bool AtDirectory() const { return result_.status.ok() && !file_.has_value(); }

  ResolvedPath Finish() {
    if (stack_.empty()) return std::move(result_);  // not even `/` can be opened
    const Place& end = file_.has_value() ? *file_ : stack_.back();
    result_.target = end.path;
    result_.target_stat = end.stat;
    result_.target_fd = end.fd;
    if (!result_.status.ok()) return std::move(result_);
    for (const Place& place : stack_) result_.ancestors.push_back(place.stat.id);
    result_.generation_root = link_target_.value_or(end.stat.id);
    return std::move(result_);
  }

 private:
  struct Place {
    std::string path;
    std::shared_ptr<const UniqueFd> fd;
    FileStat stat;
  };

  const Place& Here() const { return stack_.back(); }

  void Prepend(const std::string& path) {
    const std::vector<std::string> components = absl::StrSplit(path, '/', absl::SkipEmpty());
    pending_.insert(pending_.begin(), components.begin(), components.end());
  }

  bool Enter(const std::string& root) {
    stack_.clear();
    if (Forbidden(root)) return false;
    auto fd = file_system_->OpenRoot();
    if (!fd.ok()) return Fail(fd.status());
    auto stat = file_system_->Stat(fd->get());
    if (!stat.ok()) return Fail(stat.status());
    stack_.push_back({root, std::make_shared<const UniqueFd>(*std::move(fd)), *stat});
    return true;
  }

  bool Fail(absl::Status status) {
    result_.status = std::move(status);
    return false;
  }

  // True, and the walk has failed, if the guard forbids to look at what is at `path`.
  bool Forbidden(const std::string& path) {
    if (guard_ == nullptr) return false;
    absl::Status status = guard_->MayTouch(path);
    if (status.ok()) return false;
    result_.guarded = true;
    return !Fail(std::move(status));
  }

  void Take(const std::string& component) {
    if (++components_ > kMaxComponents) {
      Fail(absl::FailedPreconditionError(
          absl::StrCat("the path leads through more than ", kMaxComponents,
                       " names, those of the links on it included")));
      return;
    }
    if (component == ".") return;
    if (file_.has_value()) {
      // ENOTDIR may heal like a missing entry does: a directory may take the file's place.
      Fail(absl::FailedPreconditionError(
          absl::StrCat(file_->path, " is not a directory, but the path goes on below it")));
      return;
    }
    if (component == "..") {
      if (stack_.size() > 1) stack_.pop_back();
      return;
    }
    result_.hops.push_back({Here().path, Here().stat.id, component, "", FileStat{}, Here().fd});
    Hop& hop = result_.hops.back();
    const std::string path = Join(Here().path, component);
    if (Forbidden(path)) return;
    auto fd = file_system_->OpenEntry(Here().fd->get(), component);
    if (!fd.ok()) {
      Fail(absl::Status(fd.status().code(), absl::StrCat(path, ": ", fd.status().message())));
      return;
    }
    auto stat = file_system_->Stat(fd->get());
    if (!stat.ok()) {
      Fail(absl::Status(stat.status().code(), absl::StrCat(path, ": ", stat.status().message())));
      return;
    }
    hop.entry = *stat;
    if (stat->kind == FileKind::kLink) {
      TakeLink(path, fd->get(), &hop);
      return;
    }
    Place place{path, std::make_shared<const UniqueFd>(*std::move(fd)), *stat};
    if (stat->kind == FileKind::kDirectory) {
      stack_.push_back(std::move(place));
    } else {
      file_ = std::move(place);
    }
  }

  void TakeLink(const std::string& path, int fd, Hop* hop) {
    if (++links_ > kMaxLinks) {
      Fail(absl::FailedPreconditionError(
          absl::StrCat(path, " is one link too many: a path may lead through ", kMaxLinks,
                       " links at most, and this one probably runs in a circle")));
      return;
    }
    auto text = file_system_->ReadLink(fd);
    if (!text.ok()) {
      Fail(absl::Status(text.status().code(), absl::StrCat(path, ": ", text.status().message())));
      return;
    }
    hop->link_text = *text;
    pending_after_link_ = pending_.size();
    Prepend(*text);
    if (!text->empty() && text->front() == '/') Enter("/");
  }

  // When all components of the last link's text have been taken, the walk stands at its target.
  void NoteLinkTarget() {
    if (!pending_after_link_.has_value() || pending_.size() != *pending_after_link_) return;
    if (!result_.status.ok()) return;
    link_target_ = file_.has_value() ? file_->stat.id : Here().stat.id;
    pending_after_link_.reset();
  }

  FileSystem* const file_system_;
  const MountGuard* const guard_;
  std::deque<std::string> pending_;
  std::vector<Place> stack_;   // directories from `/` to where the walk stands
  std::optional<Place> file_;  // set once the walk stands at something that is no directory
  int links_ = 0;
  int components_ = 0;
  std::optional<size_t>
      pending_after_link_;  // what will be pending once the last link has been followed
  std::optional<FileId> link_target_;
  ResolvedPath result_;
};

ResolvedPath LinkResolver::ResolveSource(const std::string& path, bool is_volume) const {
  Walk walk(file_system_, guard_);
  walk.Follow(path);
  if (walk.AtDirectory() && (is_volume || walk.HasDataLink())) walk.FollowDataLink();
  ResolvedPath route = walk.Finish();
  if (route.hops.size() > kMaxHeldHops) {
    for (Hop& hop : route.hops) hop.directory_fd.reset();
  }
  return route;
}

bool LinkResolver::StillLeads(const std::string& path, bool is_volume,
                              const ResolvedPath& route) const {
  const bool held = route.status.ok() && !route.hops.empty() &&
                    route.hops.back().directory_fd != nullptr && route.target_fd != nullptr;
  if (!held) return SameRoute(ResolveSource(path, is_volume), route);
  for (const Hop& hop : route.hops) {
    if (!StillThere(hop)) return false;
  }
  if (route.kubernetes_volume || route.target_stat.kind != FileKind::kDirectory) return true;
  // A plain directory becomes a volume when this link appears.
  const auto data = file_system_->StatEntry(route.target_fd->get(), kDataLink);
  return data.ok() ? data->kind != FileKind::kLink : absl::IsNotFound(data.status());
}

bool LinkResolver::StillThere(const Hop& hop) const {
  if (hop.entry.kind != FileKind::kLink) {
    const auto entry = file_system_->StatEntry(hop.directory_fd->get(), hop.name);
    return entry.ok() && entry->id == hop.entry.id;
  }
  const auto link = file_system_->OpenEntry(hop.directory_fd->get(), hop.name);
  if (!link.ok()) return false;
  const auto entry = file_system_->Stat(link->get());
  // The link itself is not held: its number may be another's by now.
  if (!entry.ok() || entry->id != hop.entry.id || entry->ctime != hop.entry.ctime) return false;
  const auto text = file_system_->ReadLink(link->get());
  return text.ok() && *text == hop.link_text;
}

ResolvedPath LinkResolver::Resolve(const std::string& path) const {
  Walk walk(file_system_, guard_);
  walk.Follow(path);
  ResolvedPath route = walk.Finish();
  for (Hop& hop : route.hops) hop.directory_fd.reset();
  return route;
}

}  // namespace confstream
