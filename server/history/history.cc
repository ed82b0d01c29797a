#include "server/history/history.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"

namespace confstream {
namespace {

constexpr absl::Duration kFirstRetry = absl::Seconds(1);
constexpr absl::Duration kLongestRetry = absl::Seconds(30);

std::string ErrnoText() { return std::strerror(errno); }

struct FileAtPath {
  std::pair<dev_t, ino_t> id;
  int64_t size_bytes = 0;
};

// Unset: there is none.
std::optional<FileAtPath> FileAt(const std::string& path) {
  struct stat info {};
  if (stat(path.c_str(), &info) != 0) return std::nullopt;
  return FileAtPath{{info.st_dev, info.st_ino}, info.st_size};
}

}  // namespace

History::History(std::string state_dir, const Clock* clock, Logger* log)
    : state_dir_(std::move(state_dir)),
      path_(state_dir_ + "/history.db"),
      clock_(clock),
      log_(log) {}

absl::StatusOr<std::unique_ptr<History>> History::Open(const std::string& state_dir,
                                                       const Clock* clock, Logger* log) {
  std::unique_ptr<History> history(new History(state_dir, clock, log));
  if (state_dir.empty()) return history;
  {
    MutexLock lock(&history->disk_mu_);
    const absl::Status opened = history->OpenDatabase(true);
    // Everything else may get better, or is for the operator to decide while serving goes on.
    if (opened.code() == absl::StatusCode::kAlreadyExists) {
      return absl::FailedPreconditionError(opened.message());
    }
    if (!opened.ok()) {
      log->Error("history cannot be recorded", {{"reason", history->ProblemOf(opened)}});
      // What was recorded before may still be read.
      auto readable = HistoryDatabase::Open(history->path_, true);
      const std::optional<FileAtPath> file = FileAt(history->path_);
      if (readable.ok()) {
        history->readable_ = *std::move(readable);
        if (history->lock_.valid() && file.has_value()) history->file_ = file->id;
      } else if (absl::IsUnavailable(readable.status()) && file.has_value()) {
        log->Error("history cannot be read",
                   {{"reason", absl::StrCat(history->path_, ", or the log beside it, -wal: ",
                                            readable.status().message(),
                                            ": let this user read both, and restart")}});
      }
    }
  }
  history->recorder_ = std::thread([raw = history.get()] { raw->Run(); });
  return history;
}

History::~History() { Close(); }

absl::Status History::LockDirectory() {
  if (lock_.valid()) return absl::OkStatus();
  std::error_code error;
  std::filesystem::create_directories(state_dir_, error);
  if (error) {
    return absl::UnavailableError(absl::StrCat("cannot make the directory: ", error.message()));
  }
  const std::string path = state_dir_ + "/lock";
  UniqueFd fd(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!fd.valid()) {
    return absl::UnavailableError(absl::StrCat("cannot open ", path, ": ", ErrnoText()));
  }
  if (flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) {
      return absl::UnavailableError(absl::StrCat("cannot lock ", path, ": ", ErrnoText()));
    }
    return absl::AlreadyExistsError(
        absl::StrCat("state_dir ", state_dir_,
                     " is in use by another confstreamd: stop that one, or give each its own"));
  }
  lock_ = std::move(fd);
  return absl::OkStatus();
}

absl::Status History::OpenDatabase(bool at_start) {
  const std::optional<FileAtPath> before = FileAt(path_);
  if (database_ != nullptr && before.has_value() && before->id == file_) return absl::OkStatus();
  if (database_ != nullptr) {
    log_->Error("history was removed or replaced under the server, a new one is begun",
                {{"path", path_}});
    database_.reset();
    file_.reset();
  }
  absl::Status status = LockDirectory();
  if (!status.ok()) return status;
  // Made by us, so that nobody else may read it.
  const UniqueFd fd(open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!fd.valid()) return absl::UnavailableError(absl::StrCat("cannot open: ", ErrnoText()));
  auto database = HistoryDatabase::Open(path_, false);
  const bool corrupt = database.status().code() == absl::StatusCode::kDataLoss;
  // The sources go on with what was recorded in it.
  const bool continued = at_start || (before.has_value() && before->id == file_);
  const bool superseded =
      database.ok() && !continued && before.has_value() && before->size_bytes > 0;
  if (corrupt || superseded) {
    database = absl::UnavailableError("");  // closes it
    const auto aside = SetAside(corrupt ? "corrupt" : "superseded");
    if (!aside.ok()) return aside.status();
    database = HistoryDatabase::Open(path_, false);
  }
  if (!database.ok()) return database.status();
  const std::optional<FileAtPath> opened = FileAt(path_);
  if (!opened.has_value())
    return absl::UnavailableError("it was removed while it was being opened");
  file_ = opened->id;
  database_ = *std::move(database);
  readable_.reset();
  if (!continued || corrupt) RecordEverythingAgain();
  return absl::OkStatus();
}

void History::RecordEverythingAgain() {
  for (const auto& [name, known] : Sources()) known.store->RecordEverythingAgain();
}

absl::StatusOr<std::string> History::SetAside(const std::string& why) {
  // Who closes a database last removes the log beside it, by its name.
  database_.reset();
  readable_.reset();
  const std::string suffix = absl::StrCat(
      ".", why, "-", absl::FormatTime("%Y%m%dT%H%M%E3SZ", clock_->WallNow(), absl::UTCTimeZone()));
  for (const char* part : {"", "-wal", "-shm"}) {
    const std::string from = path_ + part;
    const std::string to = absl::StrCat(path_, suffix, part);
    if (std::rename(from.c_str(), to.c_str()) != 0 && errno != ENOENT) {
      return absl::UnavailableError(absl::StrCat("cannot set it aside: ", ErrnoText()));
    }
  }
  log_->Error("history set aside, a new one is begun",
              {{"path", path_}, {"set_aside", path_ + suffix}, {"reason", why}});
  return path_ + suffix;
}

std::string History::ProblemOf(const absl::Status& status) const {
  switch (status.code()) {
    case absl::StatusCode::kFailedPrecondition:
      return absl::StrCat(path_, ": ", status.message(),
                          ": move it away, or name another state_dir, and restart; versions are in "
                          "memory until then");
    case absl::StatusCode::kAlreadyExists:
      return std::string(status.message());
    default:
      return absl::StrCat(path_, ": ", status.message(), ": make room in ", state_dir_,
                          " or mend its permissions or disk; versions are in memory until then, "
                          "and recorded as soon as it works");
  }
}

void History::SetObserver(HistoryObserver* observer) {
  MutexLock lock(&observer_mu_);
  observer_ = observer;
}

std::shared_ptr<SnapshotStore> History::Source(const SourceConfig& config) {
  std::shared_ptr<SnapshotStore> store;
  {
    MutexLock lock(&mu_);
    const auto found = sources_.find(config.name);
    if (found != sources_.end() && found->second.sensitive == config.sensitive) {
      store = found->second.store;
    }
  }
  if (store != nullptr) {
    store->SetRetention(config.retention, clock_->WallNow());
    return store;
  }
  MutexLock disk_lock(&disk_mu_);
  store =
      std::make_shared<SnapshotStore>(config, Load(config), state_dir_.empty() ? nullptr : this);
  std::shared_ptr<SnapshotStore> before;
  {
    MutexLock lock(&mu_);
    Known& known = sources_[config.name];
    before = std::exchange(known.store, store);
    known.sensitive = config.sensitive;
  }
  // What was loaded from there is not in the database yet.
  if (set_aside_.has_value()) store->RecordEverythingAgain();
  if (before != nullptr) {
    // Not under mu_: a store's lock comes first.
    before->DetachRecorder();
    store->CarryOn(*before);
  }
  MutexLock lock(&mu_);
  has_work_ = true;
  work_.NotifyAll();
  return store;
}

absl::StatusOr<RecordedHistory> History::Read(const std::string& source) {
  HistoryDatabase* const newest = database_ != nullptr ? database_.get() : readable_.get();
  absl::StatusOr<RecordedHistory> recorded = RecordedHistory();
  if (newest != nullptr) recorded = newest->Load(source);
  const bool read = recorded.ok();
  if (read && recorded->epoch.empty() && set_aside_.has_value()) {
    const auto aside = HistoryDatabase::Open(*set_aside_, true);
    recorded = aside.ok() ? (*aside)->Load(source) : aside.status();
  }
  if (!recorded.ok()) {
    log_->Error(
        "history cannot be read",
        {{"source", source},
         {"reason", absl::StrCat(read ? *set_aside_ : path_, ": ", recorded.status().message())}});
  }
  // What will be recorded of the source would take the place of what is not read now.
  if (!read && database_ != nullptr) BeginAnew(absl::IsDataLoss(recorded.status()));
  return recorded;
}

void History::BeginAnew(bool corrupt) {
  // If it cannot be set aside now, it will be before anything is recorded.
  database_.reset();
  file_.reset();
  const auto aside = SetAside(corrupt ? "corrupt" : "unreadable");
  if (!aside.ok()) return;
  set_aside_ = *aside;
  const absl::Status opened = OpenDatabase(true);
  if (!opened.ok()) log_->Error("history cannot be recorded", {{"reason", ProblemOf(opened)}});
  RecordEverythingAgain();
}

RecordedHistory History::Load(const SourceConfig& config) {
  RecordedHistory recorded;
  auto loaded = Read(config.name);
  absl::Status status = loaded.status();
  if (loaded.ok()) recorded = *std::move(loaded);
  if (config.sensitive) {
    recorded.versions.clear();
    recorded.intervals.clear();
    recorded.pin.reset();
  }
  // Without the lock, somebody else may use the numbers of the epoch.
  if (!status.ok() || !file_.has_value()) recorded.epoch.clear();
  if (!status.ok() || database_ == nullptr) return recorded;
  const bool is_new = recorded.epoch.empty();
  if (is_new) recorded.epoch = NewEpoch();
  UnrecordedHistory reserve;
  reserve.epoch = recorded.epoch;
  reserve.reserve_until = recorded.reserved_until + SnapshotStore::kReserve;
  reserve.dropped_up_to = recorded.dropped_up_to;
  reserve.pin = recorded.pin;
  reserve.everything = config.sensitive;
  // Before a number of it is used.
  status = database_->Record(config.name, reserve);
  if (status.ok()) {
    recorded.new_reserve = reserve.reserve_until;
  } else {
    if (is_new) recorded.epoch.clear();
    log_->Error("history cannot be recorded",
                {{"source", config.name}, {"reason", ProblemOf(status)}});
  }
  return recorded;
}

void History::RequestRecording() {
  MutexLock lock(&mu_);
  has_work_ = true;
  work_.NotifyAll();
}

std::map<std::string, History::Known> History::Sources() const {
  MutexLock lock(&mu_);
  return sources_;
}

void History::Run() {
  if (state_dir_.empty()) return;
  absl::Duration retry = kFirstRetry;
  while (true) {
    {
      MutexLock lock(&mu_);
      while (!stopped_ && !has_work_) work_.Wait(&mu_);
      if (stopped_) return;
      has_work_ = false;
    }
    if (RecordAll()) {
      retry = kFirstRetry;
      continue;
    }
    const Instant again = clock_->Now() + retry;
    retry = std::min(2 * retry, kLongestRetry);
    MutexLock lock(&mu_);
    has_work_ = true;
    while (!stopped_ && clock_->Now() < again) work_.WaitFor(&mu_, again - clock_->Now());
    if (stopped_) return;
  }
}

bool History::RecordAll() {
  std::vector<std::string> names;
  for (const auto& [name, known] : Sources()) names.push_back(name);
  bool all = true;
  for (const std::string& name : names) {
    std::shared_ptr<SnapshotStore> store;
    absl::Status status;
    {
      MutexLock lock(&disk_mu_);
      store = Sources().at(name).store;
      status = OpenDatabase(false);
      if (status.ok()) status = Record(name, store.get(), false);
      if (status.code() == absl::StatusCode::kDataLoss && SetAside("corrupt").ok()) {
        status = OpenDatabase(false);
        if (status.ok()) status = Record(name, store.get(), false);
      }
      if (status.code() == absl::StatusCode::kAborted) store->RecordEverythingAgain();
    }
    if (status.ok()) continue;  // Record has told the store
    all = false;
    const std::string problem = ProblemOf(status);
    if (!store->NoteFailed(problem)) continue;
    log_->Error("history cannot be recorded", {{"source", name}, {"reason", problem}});
    TellObserver(name);
  }
  return all;
}

absl::Status History::Record(const std::string& name, SnapshotStore* store, bool release) {
  const std::optional<UnrecordedHistory> unrecorded = store->TakeUnrecorded(release);
  if (!unrecorded.has_value()) return absl::OkStatus();
  absl::Status status = database_->Record(name, *unrecorded);
  if (!status.ok()) return status;
  const bool failed_before = store->status().state == HistoryStatus::kFailing;
  if (!store->NoteRecorded(*unrecorded)) return absl::OkStatus();
  if (failed_before) log_->Info("history is recorded again", {{"source", name}});
  TellObserver(name);
  return absl::OkStatus();
}

void History::TellObserver(const std::string& name) {
  MutexLock lock(&observer_mu_);
  if (observer_ != nullptr) observer_->HistoryChanged(name);
}

void History::Close() {
  {
    MutexLock lock(&mu_);
    if (stopped_) return;
    stopped_ = true;
    work_.NotifyAll();
  }
  if (recorder_.joinable()) recorder_.join();
  MutexLock lock(&disk_mu_);
  for (const auto& [name, known] : Sources()) {
    if (database_ != nullptr && OpenDatabase(false).ok()) {
      const absl::Status status = Record(name, known.store.get(), true);
      if (!status.ok()) {
        log_->Error("history cannot be recorded",
                    {{"source", name}, {"reason", ProblemOf(status)}});
      }
    }
    known.store->DetachRecorder();
  }
  readable_.reset();
  database_.reset();
  lock_.Reset();
}

}  // namespace confstream
