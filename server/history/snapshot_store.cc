#include "server/history/snapshot_store.h"

#include <algorithm>
#include <utility>

#include "absl/time/clock.h"
#include "server/base/random_id.h"

namespace confstream {

std::string NewEpoch() { return RandomId(); }

SnapshotStore::SnapshotStore(const SourceConfig& config, RecordedHistory recorded,
                             RecordingRequests* requests)
    : source_(config.name),
      sensitive_(config.sensitive),
      requests_(requests),
      epoch_(recorded.epoch.empty() ? NewEpoch() : recorded.epoch),
      dropped_up_to_(recorded.dropped_up_to),
      pin_(std::move(recorded.pin)) {
  MutexLock lock(&mu_);
  SetRetentionLocked(config.retention);
  versions_.assign(recorded.versions.begin(), recorded.versions.end());
  for (auto& [path, interval] : recorded.intervals) files_.Restore(path, std::move(interval));
  files_.FinishRestoring();
  if (!versions_.empty()) {
    recorded_version_ = last_version_ = versions_.back().version;
    latest_ = SnapshotOfLocked(versions_.back());
  }
  // Numbers up to the reserve may have been used by a process that was killed.
  const bool may_have_been_used = recorded.reserved_until > last_version_;
  last_version_ = std::max(last_version_, recorded.reserved_until);
  if (!recorded.epoch.empty()) {
    epoch_recorded_ = true;
    reserved_until_ = recorded.new_reserve.value_or(recorded.reserved_until);
  } else if (requests_ != nullptr) {
    ++revision_;
  }
  if (may_have_been_used) RepublishLatestLocked();
  if (requests_ != nullptr && !sensitive_) status_.state = HistoryStatus::kRecorded;
}

// A client may hold a version that was never recorded: what it is told now must be newer. The
// number after the reserve is for that only. So it needs no reserve itself: on a disk that cannot
// be written every process restores the same content, and gives it the same number.
void SnapshotStore::RepublishLatestLocked() {
  ++last_version_;
  if (latest_ == nullptr) return;
  auto next = std::make_shared<Snapshot>(*latest_);
  VersionSummary summary = versions_.back();
  summary.epoch = next->epoch = epoch_;
  summary.version = next->version = last_version_;
  summary.changed_file_count = summary.removed_file_count = 0;
  latest_ = std::move(next);
  versions_.push_back(std::move(summary));
  NoteWorkLocked();
}

std::shared_ptr<const Snapshot> SnapshotStore::latest() const {
  MutexLock lock(&mu_);
  return latest_;
}

std::string SnapshotStore::epoch() const {
  MutexLock lock(&mu_);
  return epoch_;
}

std::shared_ptr<const Snapshot> SnapshotStore::Append(Generation generation, const Sha256& digest,
                                                      absl::Time publish_time) {
  MutexLock lock(&mu_);
  return AppendLocked(std::move(generation.files), digest, publish_time, SnapshotOrigin::kFiles, 0);
}

std::shared_ptr<const Snapshot> SnapshotStore::AppendRollback(const Snapshot& old,
                                                              absl::Time publish_time, Pin pin) {
  std::vector<GenerationFile> files;
  files.reserve(old.files.size());
  for (const SnapshotFile& file : old.files) files.push_back({file.path, file.content});
  MutexLock lock(&mu_);
  pin_ = std::move(pin);
  return AppendLocked(std::move(files), old.digest, publish_time, SnapshotOrigin::kRollback,
                      old.version);
}

int64_t SnapshotStore::NextVersionLocked() {
  const int64_t version = ++last_version_;
  if (reserved_until_.has_value() && version > *reserved_until_) {
    epoch_ = NewEpoch();
    epoch_recorded_ = false;
    reserved_until_.reset();
  }
  return version;
}

std::shared_ptr<const Snapshot> SnapshotStore::AppendLocked(std::vector<GenerationFile> files,
                                                            const Sha256& digest,
                                                            absl::Time publish_time,
                                                            SnapshotOrigin origin,
                                                            int64_t rolled_back_to) {
  auto next = std::make_shared<Snapshot>();
  next->source = source_;
  next->version = NextVersionLocked();
  next->epoch = epoch_;  // which NextVersionLocked may have changed
  next->digest = digest;
  next->publish_time = publish_time;
  next->origin = origin;
  next->rolled_back_to = rolled_back_to;
  VersionSummary summary;
  summary.epoch = next->epoch;
  summary.version = next->version;
  summary.digest = digest;
  summary.publish_time = publish_time;
  summary.origin = origin;
  summary.rolled_back_to = rolled_back_to;
  ChangeFilesLocked(std::move(files), next.get(), &summary);
  versions_.push_back(std::move(summary));
  if (latest_ != nullptr) KeepLocked(latest_);
  latest_ = std::move(next);
  DropOldLocked(publish_time);
  NoteWorkLocked();
  return latest_;
}

void SnapshotStore::ChangeFilesLocked(std::vector<GenerationFile> files, Snapshot* next,
                                      VersionSummary* summary) {
  // Both lists are in byte order of paths: one walk over both finds what each file was before.
  static const std::vector<SnapshotFile> kNone;
  const std::vector<SnapshotFile>& old = latest_ == nullptr ? kNone : latest_->files;
  auto before = old.begin();
  const auto remove_up_to = [&](const std::string* path) {
    mu_.AssertHeld();
    while (before != old.end() && (path == nullptr || before->path < *path)) {
      files_.Remove(next->version, before->path);
      NoteChangeLocked(next->version, before->path, nullptr);
      ++summary->removed_file_count;
      ++before;
    }
  };
  next->files.reserve(files.size());
  for (GenerationFile& file : files) {
    remove_up_to(&file.path);
    SnapshotFile entry{std::move(file.path), std::move(file.content), next->version};
    const bool known = before != old.end() && before->path == entry.path;
    if (known &&
        (before->content == entry.content || before->content->digest == entry.content->digest)) {
      entry.content = before->content;
      entry.last_changed_version = before->last_changed_version;
    } else {
      entry.content = files_.Put(next->version, entry.path, std::move(entry.content));
      NoteChangeLocked(next->version, entry.path, entry.content);
      ++summary->changed_file_count;
    }
    if (known) ++before;
    summary->size_bytes += static_cast<int64_t>(entry.content->bytes.size());
    next->files.push_back(std::move(entry));
  }
  remove_up_to(nullptr);
  summary->file_count = static_cast<int64_t>(next->files.size());
}

void SnapshotStore::NoteChangeLocked(int64_t version, const std::string& path,
                                     std::shared_ptr<const FileContent> content) {
  if (requests_ == nullptr || sensitive_ || everything_again_) return;
  changes_.push_back({version, path, std::move(content)});
  // The disk has been away for long: intervals tell the same, and are bounded by the retention.
  if (changes_.size() <= kMaxUnrecordedChanges) return;
  changes_.clear();
  everything_again_ = true;
}

void SnapshotStore::NoteWorkLocked() {
  ++revision_;
  if (requests_ != nullptr) requests_->RequestRecording();
}

std::optional<Pin> SnapshotStore::pin() const {
  MutexLock lock(&mu_);
  return pin_;
}

void SnapshotStore::SetPin(std::optional<Pin> pin) {
  MutexLock lock(&mu_);
  pin_ = std::move(pin);
  NoteWorkLocked();
}

void SnapshotStore::CarryOn(const SnapshotStore& before) {
  const std::shared_ptr<const Snapshot> newest = before.latest();
  std::optional<Pin> held = before.pin();
  if (newest != nullptr && latest() == nullptr) {
    Generation generation;
    for (const SnapshotFile& file : newest->files) {
      generation.files.push_back({file.path, file.content});
    }
    Append(std::move(generation), newest->digest, newest->publish_time);
  }
  if (held.has_value()) SetPin(std::move(held));
}

void SnapshotStore::SetRetention(const Retention& retention, absl::Time now) {
  MutexLock lock(&mu_);
  SetRetentionLocked(retention);
  DropOldLocked(now);
  NoteWorkLocked();
}

void SnapshotStore::SetRetentionLocked(const Retention& retention) {
  retention_ = retention;
  if (sensitive_) {
    retention_.max_versions = std::min(retention_.max_versions, kMaxSensitiveVersions);
  }
}

void SnapshotStore::DropOld(absl::Time now) {
  MutexLock lock(&mu_);
  const int64_t dropped = dropped_up_to_;
  DropOldLocked(now);
  if (dropped_up_to_ != dropped) NoteWorkLocked();
}

void SnapshotStore::DropOldLocked(absl::Time now) {
  while (versions_.size() > 1) {
    // A version's age counts from when the next one replaced it.
    const bool too_old = now - versions_[1].publish_time > retention_.max_age;
    const bool too_many = static_cast<int64_t>(versions_.size()) > retention_.max_versions;
    const bool too_large = files_.superseded_bytes() > retention_.max_bytes;
    if (!too_old && !too_many && !too_large) return;
    DropOldestLocked();
  }
}

void SnapshotStore::DropOldestLocked() {
  dropped_up_to_ = versions_.front().version;
  // The disk is behind: what it has not been told of is not kept beyond the retention.
  if (!changes_.empty() && changes_.front().version <= dropped_up_to_) {
    changes_.clear();
    everything_again_ = true;
  }
  alive_.erase(alive_.begin(), alive_.upper_bound(dropped_up_to_));
  versions_.pop_front();
  kept_.erase(std::remove_if(kept_.begin(), kept_.end(),
                             [this](const std::shared_ptr<const Snapshot>& snapshot) {
                               mu_.AssertHeld();
                               return snapshot->version <= dropped_up_to_;
                             }),
              kept_.end());
  files_.DropBefore(versions_.front().version);
}

std::shared_ptr<const Snapshot> SnapshotStore::Find(int64_t version) const {
  MutexLock lock(&mu_);
  const auto found = std::lower_bound(
      versions_.begin(), versions_.end(), version,
      [](const VersionSummary& summary, int64_t wanted) { return summary.version < wanted; });
  if (found == versions_.end() || found->version != version) return nullptr;
  return SnapshotOfLocked(*found);
}

std::shared_ptr<const Snapshot> SnapshotStore::FindAfter(int64_t version) const {
  MutexLock lock(&mu_);
  const auto found = std::upper_bound(
      versions_.begin(), versions_.end(), version,
      [](int64_t wanted, const VersionSummary& summary) { return wanted < summary.version; });
  return found == versions_.end() ? nullptr : SnapshotOfLocked(*found);
}

std::shared_ptr<const Snapshot> SnapshotStore::SnapshotOfLocked(
    const VersionSummary& summary) const {
  if (latest_ != nullptr && latest_->version == summary.version) return latest_;
  if (const auto found = alive_.find(summary.version); found != alive_.end()) {
    if (auto snapshot = found->second.lock()) return snapshot;
  }
  auto snapshot = std::make_shared<Snapshot>();
  snapshot->source = source_;
  snapshot->epoch = summary.epoch;
  snapshot->version = summary.version;
  snapshot->digest = summary.digest;
  snapshot->publish_time = summary.publish_time;
  snapshot->origin = summary.origin;
  snapshot->rolled_back_to = summary.rolled_back_to;
  snapshot->files = files_.At(summary.version);
  KeepLocked(snapshot);
  return snapshot;
}

void SnapshotStore::KeepLocked(const std::shared_ptr<const Snapshot>& snapshot) const {
  alive_[snapshot->version] = snapshot;
  kept_.push_back(snapshot);
  if (kept_.size() > kKeptSnapshots) kept_.pop_front();
}

int64_t SnapshotStore::dropped_up_to() const {
  MutexLock lock(&mu_);
  return dropped_up_to_;
}

std::vector<VersionSummary> SnapshotStore::List(int64_t before, size_t max_count) const {
  MutexLock lock(&mu_);
  auto end = std::lower_bound(
      versions_.begin(), versions_.end(), before,
      [](const VersionSummary& summary, int64_t wanted) { return summary.version < wanted; });
  std::vector<VersionSummary> listed;
  while (end != versions_.begin() && listed.size() < max_count) listed.push_back(*--end);
  return listed;
}

HistoryStatus SnapshotStore::status() const {
  MutexLock lock(&mu_);
  HistoryStatus status = status_;
  status.recorded_version =
      sensitive_ || status.state == HistoryStatus::kMemory ? 0 : recorded_version_;
  return status;
}

bool SnapshotStore::AwaitRecorded(absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout;
  MutexLock lock(&mu_);
  const int64_t wanted = revision_;
  while (recorded_revision_ < wanted) {
    const absl::Duration left = deadline - absl::Now();
    if (requests_ == nullptr || status_.state != HistoryStatus::kRecorded) return false;
    if (waits_ended_ || left <= absl::ZeroDuration()) return false;
    recorded_.WaitFor(&mu_, left);
  }
  return requests_ != nullptr && status_.state == HistoryStatus::kRecorded;
}

void SnapshotStore::EndWaits() {
  MutexLock lock(&mu_);
  waits_ended_ = true;
  recorded_.NotifyAll();
}

std::optional<UnrecordedHistory> SnapshotStore::TakeUnrecorded(bool release) {
  MutexLock lock(&mu_);
  // Half of the reserve is left when it is extended.
  const int64_t left = reserved_until_.value_or(0) - last_version_;
  const bool wants_reserve = !epoch_recorded_ || left < kReserve / 2;
  const bool gives_back = release && epoch_recorded_ && left > 0;
  const bool has_news = recorded_revision_ != revision_ && !sensitive_;
  if (!has_news && !wants_reserve && !gives_back) return std::nullopt;
  UnrecordedHistory unrecorded;
  unrecorded.epoch = epoch_;
  unrecorded.reserve_until = release         ? last_version_
                             : wants_reserve ? last_version_ + kReserve
                                             : *reserved_until_;
  // From here on the disk may know the epoch: a commit that fails may have reached it all the same.
  if (!reserved_until_.has_value()) reserved_until_ = unrecorded.reserve_until;
  unrecorded.revision = revision_;
  unrecorded.last_version = last_version_;
  if (sensitive_) {
    unrecorded.everything = true;
    return unrecorded;
  }
  unrecorded.dropped_up_to = dropped_up_to_;
  unrecorded.pin = pin_;
  unrecorded.everything = everything_again_;
  if (everything_again_) {
    unrecorded.versions.assign(versions_.begin(), versions_.end());
    for (const auto& [path, intervals] : files_.intervals()) {
      for (const FileInterval& interval : intervals)
        unrecorded.intervals.emplace_back(path, interval);
    }
    return unrecorded;
  }
  const auto first = std::upper_bound(
      versions_.begin(), versions_.end(), recorded_version_,
      [](int64_t recorded, const VersionSummary& summary) { return recorded < summary.version; });
  unrecorded.versions.assign(first, versions_.end());
  unrecorded.changes.assign(changes_.begin(), changes_.end());
  return unrecorded;
}

bool SnapshotStore::NoteRecorded(const UnrecordedHistory& unrecorded) {
  MutexLock lock(&mu_);
  if (unrecorded.epoch == epoch_) {
    epoch_recorded_ = true;
    reserved_until_ = unrecorded.reserve_until;
  }
  // What came since is still to be recorded.
  while (!changes_.empty() && changes_.front().version <= unrecorded.last_version) {
    changes_.pop_front();
  }
  if (unrecorded.everything && !sensitive_) {
    // Changes were not listed meanwhile.
    everything_again_ = revision_ != unrecorded.revision;
  }
  const bool advanced = recorded_version_ != unrecorded.last_version;
  recorded_version_ = unrecorded.last_version;
  recorded_revision_ = unrecorded.revision;
  recorded_.NotifyAll();
  if (revision_ != recorded_revision_ && requests_ != nullptr) requests_->RequestRecording();
  const bool said =
      SetStatusLocked(sensitive_ ? HistoryStatus::kMemory : HistoryStatus::kRecorded, "");
  return said || (advanced && !sensitive_);
}

bool SnapshotStore::NoteFailed(const std::string& problem) {
  MutexLock lock(&mu_);
  recorded_.NotifyAll();
  return SetStatusLocked(HistoryStatus::kFailing, problem);
}

bool SnapshotStore::SetStatusLocked(HistoryStatus::State state, const std::string& problem) {
  if (status_.state == state && status_.problem == problem) return false;
  status_.state = state;
  status_.problem = problem;
  return true;
}

void SnapshotStore::RecordEverythingAgain() {
  MutexLock lock(&mu_);
  changes_.clear();
  everything_again_ = true;
  epoch_recorded_ = false;
  NoteWorkLocked();
}

void SnapshotStore::DetachRecorder() {
  MutexLock lock(&mu_);
  requests_ = nullptr;
  recorded_.NotifyAll();
}

}  // namespace confstream
