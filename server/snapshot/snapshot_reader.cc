#include "server/snapshot/snapshot_reader.h"

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "server/base/in_parts.h"
#include "server/base/text.h"
#include "server/snapshot/settings_check.h"

namespace confstream {
namespace {

// How often a source that never stops changing is read anew in the hope of a reading during which
// it rests.
constexpr int kForcedPasses = 5;
// A file's bytes and a directory's names are taken from an earlier reading only if their last
// change was this much older: file systems stamp changes by a clock that ticks every few
// milliseconds, or every second (ext4 with 128-byte inodes).
constexpr absl::Duration kOldEnough = absl::Seconds(2);

// To look at fewer files is not worth a thread.
constexpr size_t kLeastForAThread = 1024;

// How often more is read of a file that has more than it is said to have.
constexpr int kReadsBeyondSize = 1000;
// Room that is made for it, in bytes.
constexpr size_t kLeastGrowth = 4096;

std::string WhyEmpty(const LeftOut& left_out) {
  if (left_out.count == 0) {
    return "the directory has no files, which is taken for a mistake: add files or set allow_empty";
  }
  const std::string are_left_out =
      left_out.count == 1
          ? "is left out, since "
          : absl::StrCat("and ", left_out.count - 1, " more are left out, the first since ");
  return absl::StrCat("the directory has no files that are read: `",
                      EscapeForDisplay(left_out.path), "` ", are_left_out, left_out.why,
                      ": add files or mend include and exclude; if nothing is to be read, "
                      "set allow_empty");
}

Reading Outcome(Reading::Result result, absl::Status status = absl::OkStatus()) {
  Reading reading;
  reading.result = result;
  reading.status = std::move(status);
  return reading;
}

absl::Status Named(const std::string& path, const absl::Status& status) {
  return absl::Status(status.code(), absl::StrCat(EscapeForDisplay(path), ": ", status.message()));
}

}  // namespace

SnapshotReader::SnapshotReader(const Clock* clock, FileSystem* file_system,
                               const SourceConfig& config)
    : clock_(clock),
      file_system_(file_system),
      resolver_(file_system),
      config_(config),
      rules_(config.tree_rules()),
      mount_check_(file_system) {}

Reading SnapshotReader::Read(const ReadRequest& request) {
  if (request.touched.all || request.reuse_nothing) {
    for (Remembered& file : remembered_) file.reusable = false;
  }
  // Some file systems that are polled give directories times that tell nothing.
  const bool watched = request.route.has_value() && request.polled_because.empty();
  if (!watched || request.touched.all || request.reuse_nothing) listings_.clear();
  for (const std::string& path : request.touched.paths) {
    if (Remembered* file = Find(path)) file->reusable = false;
    // However the directory looks: the root of a FAT always looks the same.
    listings_.erase(path.substr(0, path.rfind('/') + 1));
  }
  const int passes = request.cause == ReadCause::kForced ? kForcedPasses : 1;
  Reading reading;
  for (int pass = 0; pass < passes; ++pass) {
    // What no pass found unchanged is taken as the last one finds it.
    reading = ReadOnce(request, pass == kForcedPasses - 1);
    // A forced reading carries its content even so: it is published if no pass finds the source at
    // rest.
    if (reading.result != Reading::kUnsettled) return reading;
  }
  if (request.cause == ReadCause::kForced && reading.status.ok()) {
    reading.result = Reading::kGeneration;
  }
  return reading;
}

Reading SnapshotReader::ReadOnce(const ReadRequest& request, bool as_it_is) {
  began_ = clock_->WallNow();
  began_at_ = clock_->Now();
  // Whether what the watch thread found a moment ago still holds is asked once the files are open.
  const bool found = request.cause == ReadCause::kCommit && request.route.has_value() &&
                     request.route->status.ok() && request.route->target_fd != nullptr;
  const ResolvedPath route = found ? *request.route : Resolve(request);
  if (request.route.has_value() && !SameRoute(route, *request.route)) {
    return Outcome(Reading::kMoved);
  }
  is_volume_ = is_volume_ || route.kubernetes_volume;
  // A hop that has just been replaced shows that the mount is alive.
  MountCheck::Finding mount;
  if (request.cause != ReadCause::kCommit) mount = mount_check_.Look(route);
  if (!mount.detached.ok()) return Outcome(Reading::kDetached, mount.detached);
  if (!mount.unmounted.ok()) return Outcome(Reading::kMissing, mount.unmounted);
  if (!route.status.ok()) {
    const bool missing = absl::IsNotFound(route.status) || absl::IsFailedPrecondition(route.status);
    if (!missing) return Outcome(Reading::kFailed, route.status);
    return Outcome(
        Reading::kMissing,
        absl::NotFoundError(absl::StrCat(
            "the source's path ", config_.path, " leads nowhere: ", route.status.message(),
            ": make or mount what is missing, which is waited for, or configure another path")));
  }
  Reading reading = ReadTree(request, route, as_it_is);
  reading.mount_warning = std::move(mount.warning);
  return reading;
}

Reading SnapshotReader::ReadTree(const ReadRequest& request, const ResolvedPath& route,
                                 bool as_it_is) {
  if (route.target_stat.id != remembered_root_) {
    for (Remembered& file : remembered_) file.reusable = false;
  }
  CatchUp(request, route);
  absl::StatusOr<Listed> listed = List(route);
  if (!listed.ok()) return Failure(request, route, listed.status());
  Recall(&*listed);
  std::vector<Violation> violations = Refuse(&*listed);
  int64_t total_bytes = 0;
  for (const OpenFile& file : listed->files) {
    if (!file.refused) total_bytes += file.stat.size_bytes;
  }
  // How much more than their sizes tell the files may have together.
  int64_t growth =
      as_it_is ? std::max<int64_t>(0, config_.limits.max_total_bytes - total_bytes) : 0;
  const bool open_first = listed->files.size() <= std::min(kMaxOpenFiles, DescriptorShare());
  for (size_t i = 0; i < listed->files.size(); ++i) {
    OpenFile& file = listed->files[i];
    if (file.refused) continue;
    file.content = Reusable(file);
    file.reused = file.content != nullptr;
    if (file.reused) continue;
    const auto entry = OpenListed(file_system_, listed->tree, listed->tree.files[i]);
    absl::Status status = entry.ok() ? Open((*entry)->get(), &file) : entry.status();
    if (status.ok() && !open_first) status = ReadFile(as_it_is, &growth, &file);
    if (!status.ok()) return Failure(request, route, Named(file.path, status));
  }
  // From here on the open files are one generation, or the reading is thrown away.
  if (!resolver_.StillLeads(config_.path, IsVolume(request), route)) {
    return Outcome(Reading::kMoved);
  }
  for (OpenFile& file : listed->files) {
    if (file.refused || file.content != nullptr) continue;
    if (absl::Status status = ReadFile(as_it_is, &growth, &file); !status.ok()) {
      return Failure(request, route, Named(file.path, status));
    }
  }

  bool at_rest = true;
  const bool by_commit = CompleteByCommit(request, route, *listed);
  if (!by_commit) {
    const bool trusts_events =
        request.cause == ReadCause::kSettled && request.polled_because.empty();
    at_rest = request.cause != ReadCause::kCommit &&
              (request.cause == ReadCause::kForced || LeftAlone(route, *listed, trusts_events));
    // What is used as it is remembered was looked at when it was read: by the reading before, or by
    // this one, which has read what events named before it looked at the tree. All of it stood
    // still from there until now.
    const bool looked_before =
        AsRemembered(route, *listed) &&
        std::all_of(listed->files.begin(), listed->files.end(),
                    [](const OpenFile& file) { return file.reused || file.refused; });
    if (at_rest && !looked_before) {
      const auto again = List(route);
      if (!again.ok()) return Failure(request, route, again.status());
      at_rest = SameTree(*listed, *again);
    }
  }
  Remember(route, *listed);
  const LeftOut left_out = listed->tree.left_out;
  Reading reading = Finish(*std::move(listed), std::move(violations));
  reading.needs_quiet = !by_commit && request.cause != ReadCause::kForced;
  // An empty volume is what an empty ConfigMap looks like; one of which nothing is read is none.
  const bool looks_empty = left_out.count > 0 || FindDataHop(route) == nullptr;
  if (reading.generation.files.empty() && reading.violations.empty() && looks_empty &&
      !config_.allow_empty) {
    reading.violations.push_back({"", 0, 0, "source.empty", WhyEmpty(left_out)});
  }
  if (!at_rest) reading.result = Reading::kUnsettled;
  return reading;
}

ResolvedPath SnapshotReader::Resolve(const ReadRequest& request) {
  ResolvedPath route = resolver_.ResolveSource(config_.path, IsVolume(request));
  is_volume_ = is_volume_ || route.kubernetes_volume;
  return route;
}

bool SnapshotReader::IsVolume(const ReadRequest& request) const {
  return request.route.has_value() ? request.route->kubernetes_volume : is_volume_;
}

std::vector<Violation> SnapshotReader::Refuse(Listed* listed) const {
  SettingsCheck all(config_);
  for (const OpenFile& file : listed->files) all.Add(file.path, file.stat.size_bytes);
  std::vector<Violation> violations = all.Violations();
  for (const TreeRefusal& refusal : listed->tree.refusals) {
    violations.push_back(
        {EscapeForDisplay(refusal.path), 0, 0, refusal.rule, EscapeForDisplay(refusal.message)});
  }
  if (violations.empty()) return violations;
  absl::flat_hash_set<std::string> paths;
  for (const Violation& violation : violations) paths.insert(violation.path);
  SettingsCheck rest(config_);
  for (OpenFile& file : listed->files) {
    file.refused = paths.contains(EscapeForDisplay(file.path));
    if (!file.refused) rest.Add(file.path, file.stat.size_bytes);
  }
  const std::vector<Violation> too_much = rest.Violations();
  for (const Violation& violation : too_much) {
    const auto told = [&](const Violation& other) { return other.rule == violation.rule; };
    if (std::none_of(violations.begin(), violations.end(), told)) violations.push_back(violation);
  }
  if (!too_much.empty()) {
    for (OpenFile& file : listed->files) file.refused = true;
  }
  std::sort(violations.begin(), violations.end());
  return violations;
}

absl::StatusOr<SnapshotReader::Listed> SnapshotReader::List(const ResolvedPath& route) {
  Listed listed;
  auto tree = ListSourceTree(file_system_, route, rules_, nullptr, &listings_);
  if (!tree.ok()) return tree.status();
  listed.tree = *std::move(tree);
  if (absl::Status status = StatAll(&listed); !status.ok()) return status;
  return listed;
}

absl::Status SnapshotReader::StatAll(Listed* listed) {
  for (const TreeDirectory& directory : listed->tree.directories) {
    const auto stat = file_system_->Stat(directory.fd->get());
    if (!stat.ok()) return stat.status();
    listed->directories.push_back(*stat);
  }
  std::vector<TreeFile>& files = listed->tree.files;
  listed->files.resize(files.size());
  return InParts(files.size(), kLeastForAThread, [&](size_t begin, size_t end) {
    for (size_t i = begin; i < end; ++i) {
      const auto stat = StatListed(file_system_, listed->tree, files[i]);
      if (!stat.ok()) return Named(files[i].path, stat.status());
      listed->files[i].path = std::move(files[i].path);
      listed->files[i].stat = *stat;
    }
    return absl::OkStatus();
  });
}

void SnapshotReader::Recall(Listed* listed) {
  auto known = remembered_.begin();
  for (OpenFile& file : listed->files) {
    while (known != remembered_.end() && known->path < file.path) ++known;
    if (known == remembered_.end()) return;
    if (known->path == file.path) file.known = &*known++;
  }
}

SnapshotReader::Remembered* SnapshotReader::Find(absl::string_view path) {
  const auto found = std::lower_bound(
      remembered_.begin(), remembered_.end(), path,
      [](const Remembered& file, absl::string_view wanted) { return file.path < wanted; });
  return found == remembered_.end() || found->path != path ? nullptr : &*found;
}

void SnapshotReader::CatchUp(const ReadRequest& request, const ResolvedPath& route) {
  for (Remembered& file : remembered_) file.caught_up = false;
  const bool settled = request.cause == ReadCause::kSettled || request.cause == ReadCause::kRecheck;
  const bool all = request.touched.all || request.reuse_nothing;
  if (!settled || all || route.target_stat.id != remembered_root_) return;
  int64_t room_bytes = config_.limits.max_total_bytes;
  for (Remembered& file : remembered_) {
    // Whatever is the matter with it, the look at the tree will show it.
    if (!file.reusable) ReadAgain(route, &room_bytes, &file).IgnoreError();
  }
}

absl::Status SnapshotReader::ReadAgain(const ResolvedPath& route, int64_t* room_bytes,
                                       Remembered* known) {
  const auto entry = OpenWithoutLinks(file_system_, route, known->path);
  if (!entry.ok()) return entry.status();
  const auto stat = file_system_->Stat(entry->get());
  if (!stat.ok()) return stat.status();
  if (stat->size_bytes > std::min(config_.limits.max_file_bytes, *room_bytes)) {
    return absl::ResourceExhaustedError("it has more than may be read");
  }
  OpenFile file;
  file.path = known->path;
  file.known = known;
  file.stat = *stat;
  if (absl::Status status = Open(entry->get(), &file); !status.ok()) return status;
  if (absl::Status status = ReadUnchanged(&file); !status.ok()) return status;
  *room_bytes -= file.stat.size_bytes;
  // Not since the reading began: a file system that hung may have shown it a moment ago.
  if (!(known->stat == file.stat)) unchanged_since_ = clock_->Now();
  known->stat = file.stat;
  known->content = std::move(file.content);
  known->caught_up = true;
  return absl::OkStatus();
}

absl::Status SnapshotReader::Open(int entry, OpenFile* file) {
  // Known to be a regular file before it is opened: opening some devices has effects.
  const auto stat = file_system_->Stat(entry);
  if (!stat.ok()) return stat.status();
  if (stat->kind != FileKind::kRegular || stat->id != file->stat.id) {
    return absl::NotFoundError("replaced while it was being read");
  }
  auto fd = file_system_->OpenForReading(entry);
  if (!fd.ok()) return fd.status();
  file->fd = *std::move(fd);
  return absl::OkStatus();
}

absl::Status SnapshotReader::ReadFile(bool as_it_is, int64_t* growth, OpenFile* file) {
  return as_it_is ? ReadAsItIs(growth, file) : ReadUnchanged(file);
}

absl::Status SnapshotReader::ReadUnchanged(OpenFile* file) {
  auto content = std::make_shared<FileContent>();
  // One byte more than there should be: the file may have grown, which the look after the reading
  // will tell.
  absl::Status read = ReadUpTo(file->stat.size_bytes + 1, *file, &content->bytes);
  if (!read.ok()) return read;
  if (content->bytes.size() != static_cast<size_t>(file->stat.size_bytes)) {
    return absl::NotFoundError("its size changed while it was being read");
  }
  // Behind a commit point nobody looks again later: what is written in place while the files are
  // read would be published beside what was there before. The change time is no help, since kubelet
  // deletes the old generation while it is being read.
  const auto stat = file_system_->Stat(file->fd.get());
  if (!stat.ok()) return stat.status();
  if (stat->mtime != file->stat.mtime) {
    return absl::NotFoundError("it was written to while it was being read");
  }
  Keep(std::move(content), file);
  return absl::OkStatus();
}

absl::Status SnapshotReader::ReadAsItIs(int64_t* growth, OpenFile* file) {
  auto content = std::make_shared<FileContent>();
  const int64_t most = std::min(config_.limits.max_file_bytes, file->stat.size_bytes + *growth);
  absl::Status read = ReadUpTo(most + 1, *file, &content->bytes);
  if (!read.ok()) return read;
  const auto have = static_cast<int64_t>(content->bytes.size());
  if (have > most) {
    return absl::NotFoundError("it grew beyond the limits while it was being read");
  }
  *growth -= std::max<int64_t>(0, have - file->stat.size_bytes);
  Keep(std::move(content), file);
  return absl::OkStatus();
}

absl::Status SnapshotReader::ReadUpTo(int64_t most_bytes, const OpenFile& file,
                                      std::string* bytes) const {
  const auto most = static_cast<size_t>(most_bytes);
  const auto said = static_cast<size_t>(file.stat.size_bytes);
  bytes->resize(std::min(most, said));
  size_t have = 0;
  int beyond = 0;
  while (have < most) {
    // Whoever writes as fast as this reads is not waited for.
    if (have > said && ++beyond > kReadsBeyondSize) break;
    // Whether there is more is asked apart, so that a file of the size it is said to have fits, and
    // is not moved to where it does.
    char next = 0;
    const bool full = have == bytes->size();
    const auto got =
        file_system_->ReadAt(file.fd.get(), full ? &next : bytes->data() + have,
                             full ? 1 : bytes->size() - have, static_cast<int64_t>(have));
    if (!got.ok()) return got.status();
    if (*got == 0) break;
    if (full) {
      bytes->resize(std::min(most, std::max(2 * have, kLeastGrowth)));
      (*bytes)[have] = next;
    }
    have += *got;
  }
  bytes->resize(have);
  return absl::OkStatus();
}

void SnapshotReader::Keep(std::shared_ptr<FileContent> content, OpenFile* file) const {
  content->bytes.shrink_to_fit();
  content->digest = Sha256::Of(content->bytes);
  file->fd.Reset();
  // A new generation mostly repeats the old one: equal bytes are kept once, and known to be the
  // same by address.
  const bool same = file->known != nullptr && file->known->content != nullptr &&
                    file->known->content->digest == content->digest;
  file->content = same ? file->known->content : std::move(content);
}

std::shared_ptr<const FileContent> SnapshotReader::Reusable(const OpenFile& file) {
  const Remembered* known = file.known;
  if (known == nullptr || !(known->stat == file.stat)) return nullptr;
  return known->caught_up || known->reusable ? known->content : nullptr;
}

bool SnapshotReader::TellsChanges(const OpenFile& file) const {
  return file.stat.ctime <= began_ - kOldEnough &&
         // Else its size does not tell what can be read, so its times may not tell when it changed.
         file.content->bytes.size() == static_cast<size_t>(file.stat.size_bytes);
}

Reading SnapshotReader::Failure(const ReadRequest& request, const ResolvedPath& route,
                                absl::Status status) {
  listings_.clear();  // they may be why
  // A directory that is being deleted or replaced answers with all sorts of errors, or with none.
  if (!SameRoute(Resolve(request), route)) return Outcome(Reading::kMoved);
  const bool changing = absl::IsNotFound(status) || absl::IsFailedPrecondition(status);
  return Outcome(changing ? Reading::kUnsettled : Reading::kFailed, std::move(status));
}

bool SnapshotReader::CompleteByCommit(const ReadRequest& request, const ResolvedPath& route,
                                      const Listed& listed) const {
  const Hop* commit = FindDataHop(route);
  if (request.commit.has_value()) {
    const auto replaced = std::find_if(route.hops.begin(), route.hops.end(), [&](const Hop& hop) {
      return hop.directory == request.commit->directory && hop.name == request.commit->name;
    });
    if (replaced != route.hops.end()) commit = &*replaced;
  }
  if (commit == nullptr) return false;
  // An empty directory behind any other link is likely to be filled now.
  if (listed.files.empty() && FindDataHop(route) == nullptr) return false;
  // A directory that was moved into place is itself changed by what is made in it later. Moving
  // sets its change time only, which all that is in it must be older than.
  const bool is_directory = commit->entry.kind == FileKind::kDirectory;
  if (is_directory && commit->entry.mtime >= commit->entry.ctime) return false;
  const auto not_later = [&](const FileStat& stat) {
    return stat.ctime < commit->entry.ctime ||
           (stat.ctime == commit->entry.ctime && (!is_directory || stat.id == commit->entry.id));
  };
  return std::all_of(listed.directories.begin(), listed.directories.end(), not_later) &&
         std::all_of(listed.files.begin(), listed.files.end(),
                     [&](const OpenFile& file) { return not_later(file.stat); });
}

bool SnapshotReader::LeftAlone(const ResolvedPath& route, const Listed& listed,
                               bool trusts_events) const {
  // The kernel changes a file first and sends the event afterwards: in between, bytes that are
  // being written could be read, twice the same, with nobody having told. Their change time tells.
  // Where events are trusted, one that is later than now is another clock's, and says nothing.
  const absl::Time least = began_ - (trusts_events ? config_.settle / 2 : config_.settle);
  const absl::Time now = clock_->WallNow();
  const auto old = [&](const FileStat& stat) {
    return stat.ctime <= least || (trusts_events && stat.ctime > now);
  };
  if (std::all_of(listed.directories.begin(), listed.directories.end(), old) &&
      std::all_of(listed.files.begin(), listed.files.end(),
                  [&](const OpenFile& file) { return old(file.stat); })) {
    return true;
  }
  // The clock of another machine may stamp in our future; ours tells how long nothing has changed.
  return !trusts_events && began_at_ - unchanged_since_ >= config_.settle &&
         AsRemembered(route, listed);
}

bool SnapshotReader::AsRemembered(const ResolvedPath& route, const Listed& listed) const {
  return route.target_stat.id == remembered_root_ &&
         listed.directories == remembered_directories_ &&
         listed.files.size() == remembered_.size() &&
         std::all_of(listed.files.begin(), listed.files.end(), [](const OpenFile& file) {
           return file.known != nullptr && file.known->stat == file.stat;
         });
}

bool SnapshotReader::SameTree(const Listed& a, const Listed& b) {
  const auto same = [](const OpenFile& file, const OpenFile& other) {
    return file.path == other.path && file.stat == other.stat;
  };
  return a.directories == b.directories &&
         std::equal(a.files.begin(), a.files.end(), b.files.begin(), b.files.end(), same);
}

void SnapshotReader::Remember(const ResolvedPath& route, const Listed& listed) {
  // Not since the reading began: a file system that hung may have shown it a moment ago.
  if (!AsRemembered(route, listed)) unchanged_since_ = clock_->Now();
  std::vector<Remembered> now;
  now.reserve(listed.files.size());
  for (const OpenFile& file : listed.files) {
    now.push_back(file.known != nullptr ? std::move(*file.known)
                                        : Remembered{file.path, file.stat, nullptr});
    Remembered& entry = now.back();
    if (file.reused && !entry.caught_up) continue;  // it stays as it is
    entry.stat = file.stat;
    // What a refused one had before may be what it has again.
    if (!file.refused) entry.content = file.content;
    entry.reusable = !file.refused && TellsChanges(file);
  }
  remembered_ = std::move(now);
  remembered_root_ = route.target_stat.id;
  remembered_directories_ = listed.directories;
  RememberListings(listed.tree.directories);
}

void SnapshotReader::RememberListings(const std::vector<TreeDirectory>& directories) {
  // Names that are left out are not bounded together: of too many, some are listed anew each time.
  size_t room = 2 * static_cast<size_t>(rules_.max_files);
  listings_.clear();
  for (const TreeDirectory& directory : directories) {
    const DirectoryListing& listing = *directory.listing;
    if (listing.stat.ctime > began_ - kOldEnough || listing.entries.size() > room) continue;
    room -= listing.entries.size();
    listings_.emplace(directory.prefix, directory.listing);
  }
}

Reading SnapshotReader::Finish(Listed listed, std::vector<Violation> violations) {
  Reading reading;
  reading.result = Reading::kGeneration;
  reading.violations = std::move(violations);
  TreeDigest digest;
  reading.generation.files.reserve(listed.files.size());
  for (OpenFile& file : listed.files) {
    if (file.refused) continue;
    digest.Add(file.path, file.content->digest);
    reading.generation.files.push_back({std::move(file.path), std::move(file.content)});
  }
  reading.digest = digest.Finish();
  return reading;
}

}  // namespace confstream
