#include "client/cpp/watch_runner.h"

#include <errno.h>

#include <algorithm>
#include <exception>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/base/clock.h"
#include "server/base/text.h"

namespace confstream {
namespace {

using Kind = Event::Kind;
using Level = Event::Level;

constexpr size_t kMostClientIdBytes = 256;  // the server's bound

// The runner whose follower or worker this thread is.
thread_local const WatchRunner* runner_of_this_thread = nullptr;

// What the server bounds, it refuses by itself. It cannot be asked what is no text, and would take
// a heartbeat of 0, which is none.
Status CheckOptions(const WatchOptions& options) {
  const auto refuse = [](absl::string_view what) {
    return Status(StatusCode::kInvalidArgument, std::string(what));
  };
  std::vector<absl::string_view> texts = {options.source, options.client_id};
  texts.insert(texts.end(), options.path_globs.begin(), options.path_globs.end());
  for (const auto& [key, value] : options.labels) texts.insert(texts.end(), {key, value});
  for (const absl::string_view text : texts) {
    if (!IsValidUtf8(text)) return refuse("an option of the watch is not UTF-8");
  }
  if (options.source.empty()) return refuse("the watch has no source: name one");
  if (options.heartbeat < std::chrono::seconds(1) || options.heartbeat > std::chrono::hours(1)) {
    return refuse("the heartbeat of a watch is from 1 s to 1 h");
  }
  if (options.max_bytes < 1) return refuse("max_bytes of a watch is 1 at least");
  return Status();
}

void SetDuration(std::chrono::milliseconds from, google::protobuf::Duration* to) {
  to->set_seconds(from.count() / 1000);
  to->set_nanos(static_cast<int32_t>(from.count() % 1000 * 1'000'000));
}

std::string ProgramName() {
  std::string name = EscapeForDisplay(program_invocation_short_name);
  name.resize(std::min(name.size(), kMostClientIdBytes));
  while (!IsValidUtf8(name)) name.pop_back();  // not within a character
  return name;
}

v1::WatchRequest ToRequest(const WatchOptions& options) {
  v1::WatchRequest request;
  request.set_source(options.source);
  request.mutable_path_globs()->Assign(options.path_globs.begin(), options.path_globs.end());
  request.set_mode(options.mode == WatchMode::kDelta ? v1::WATCH_MODE_DELTA
                                                     : v1::WATCH_MODE_SNAPSHOT);
  SetDuration(options.heartbeat, request.mutable_heartbeat_interval());
  if (options.min_update_interval.count() != 0) {
    SetDuration(options.min_update_interval, request.mutable_min_update_interval());
  }
  request.set_client_id(options.client_id.empty() ? ProgramName() : options.client_id);
  request.mutable_labels()->insert(options.labels.begin(), options.labels.end());
  return request;
}

Status ToStatus(const absl::Status& status) {
  if (status.ok()) return Status();
  return Status(static_cast<StatusCode>(status.code()), std::string(status.message()));
}

std::string Text(const absl::Status& status) {
  return absl::StrCat(absl::StatusCodeToString(status.code()), ": ",
                      EscapeForDisplay(status.message()));
}

}  // namespace

std::shared_ptr<WatchRunner> WatchRunner::Start(std::shared_ptr<Connection> connection,
                                                Status error, WatchOptions options) {
  std::shared_ptr<WatchRunner> runner(
      new WatchRunner(std::move(connection), std::move(error), std::move(options)));
  try {
    MutexLock lock(&runner->join_mu_);
    runner->worker_ = std::thread([runner] { runner->Work(); });
    runner->follower_ = std::thread([runner] { runner->Follow(); });
  } catch (...) {
    runner->Close();
    throw;
  }
  return runner;
}

WatchRunner::WatchRunner(std::shared_ptr<Connection> connection, Status error, WatchOptions options)
    : connection_(std::move(connection)),
      options_(std::move(options)),
      invalid_(connection_ == nullptr ? std::move(error) : CheckOptions(options_)) {
  if (!invalid_.ok()) return;
  SourceWatchOptions watch_options;
  watch_options.request = ToRequest(options_);
  watch_options.max_bytes = options_.max_bytes;
  reporter_ = std::make_unique<OutcomeReporter>(connection_.get());
  WatchObserver* const observer = this;  // only this class knows that it is one
  watch_ = std::make_unique<SourceWatch>(connection_.get(), std::move(watch_options), observer);
  {
    MutexLock lock(&mu_);
    waits_for_ = absl::StrCat("no answer from ", connection_->address(), " yet");
  }
  if (options_.cache_directory.empty()) return;
  disk_ = std::make_unique<DiskCopy>(options_.cache_directory, options_.source, options_.path_globs,
                                     options_.max_bytes);
  ReadCache();
}

void WatchRunner::ReadCache() {
  auto copy = disk_->Read();
  if (!copy.ok()) {
    Log({Kind::kCache, Level::kWarning,
         absl::StrCat("the copy ", EscapeForDisplay(disk_->path()),
                      " is left alone: ", Text(copy.status()))});
  }
  if (!copy.ok() || *copy == nullptr) return;
  cached_ = ToVersion(*std::move(copy));
  watch_->Hold(cached_.received);
  reporter_->OnSnapshot(cached_.received->header);
  {
    MutexLock lock(&mu_);
    held_ = cached_;
    content_header_ = cached_.received->header;
    stale_ = true;
  }
  Log({Kind::kCache, Level::kInfo,
       absl::StrCat("begins with version ", cached_.snapshot->version, " of ", options_.source,
                    " from ", EscapeForDisplay(disk_->path()))});
  Log({Kind::kStale, Level::kWarning,
       absl::StrCat("what is held of ", options_.source,
                    " comes from the disk: it may be out of date")});
}

WatchRunner::~WatchRunner() {
  // Close has joined the threads, unless it was called from one of them: then that one is the last
  // owner, or the other one is, and is about to end.
  for (std::thread* const thread : {&follower_, &worker_}) {
    if (!thread->joinable()) continue;
    if (thread->get_id() == std::this_thread::get_id()) {
      thread->detach();
    } else {
      thread->join();
    }
  }
}

Waited WatchRunner::Wait(std::chrono::milliseconds timeout) {
  const SystemClock clock;
  const Instant deadline = clock.Now() + absl::FromChrono(timeout);
  MutexLock lock(&mu_);
  while (!settled_ && !over_ && !closed_) {
    const absl::Duration left = deadline - clock.Now();
    if (left <= absl::ZeroDuration()) break;
    changed_.WaitFor(&mu_, std::min(left, absl::Hours(1)));  // no sum overflows
  }
  if (settled_) return {Status(), held_.snapshot};
  if (!end_.ok()) return {end_, nullptr};
  if (closed_) return {Status(StatusCode::kCancelled, "the watch was closed"), nullptr};
  if (held_.snapshot != nullptr) return {Status(), held_.snapshot};
  return {Status(StatusCode::kDeadlineExceeded,
                 absl::StrCat("nothing of ", EscapeForDisplay(options_.source), " has come within ",
                              absl::FormatDuration(absl::FromChrono(timeout)), ": ", waits_for_)),
          nullptr};
}

std::shared_ptr<const Snapshot> WatchRunner::Current() {
  MutexLock lock(&mu_);
  return held_.snapshot;
}

bool WatchRunner::stale() {
  MutexLock lock(&mu_);
  return held_.snapshot != nullptr && (stale_ || over_ || closed_);
}

Status WatchRunner::status() {
  MutexLock lock(&mu_);
  return end_;
}

Status WatchRunner::Report(const Snapshot& snapshot, Outcome outcome, std::string_view reason) {
  if (!invalid_.ok()) return invalid_;
  v1::ResponseHeader header;
  header.set_epoch(snapshot.epoch);
  header.set_version(snapshot.version);
  {
    MutexLock lock(&mu_);
    // Its version may have moved on since the content came.
    if (held_.snapshot != nullptr && held_.snapshot->view_digest == snapshot.view_digest) {
      header = content_header_;
    }
  }
  return ToStatus(reporter_->Report(
      header, outcome == Outcome::kApplied ? v1::OUTCOME_APPLIED : v1::OUTCOME_REJECTED,
      absl::string_view(reason.data(), reason.size())));
}

void WatchRunner::Close() {
  {
    MutexLock lock(&mu_);
    closed_ = true;
    changed_.NotifyAll();
  }
  if (watch_ != nullptr) watch_->Stop();
  if (reporter_ != nullptr) reporter_->Stop();
  if (runner_of_this_thread == this) return;
  MutexLock lock(&join_mu_);
  if (follower_.joinable()) follower_.join();
  if (worker_.joinable()) worker_.join();
  connection_.reset();
}

void WatchRunner::Follow() {
  runner_of_this_thread = this;
  const Status end = invalid_.ok() ? ToStatus(watch_->Run()) : invalid_;
  MutexLock lock(&mu_);
  end_ = end;
  over_ = true;
  changed_.NotifyAll();
}

void WatchRunner::OnConnected(const std::string& watch_id) {
  reporter_->OnConnected(watch_id);
  {
    MutexLock lock(&mu_);
    waits_for_ = absl::StrCat(connection_->address(), " has answered, but sent no content yet");
  }
  Log({Kind::kConnected, Level::kInfo, absl::StrCat("connected to ", connection_->address())});
}

void WatchRunner::OnSnapshot(const std::shared_ptr<const ReceivedSnapshot>& received) {
  const Version version = ToVersion(received);
  const v1::ResponseHeader& header = received->header;
  bool same = false;
  {
    MutexLock lock(&mu_);
    same = version.HasContentOf(held_);
  }
  // Before anybody can see the version, and report what became of it.
  if (same) {
    reporter_->MoveTo(header);
  } else {
    reporter_->OnSnapshot(header);
  }
  {
    MutexLock lock(&mu_);
    held_ = version;
    if (!same) {
      content_header_ = header;
      pending_ = version;
    }
    heard_ = true;
  }
  Settle();
}

void WatchRunner::OnPosition(const std::shared_ptr<const ReceivedSnapshot>& received) {
  reporter_->MoveTo(received->header);
  MutexLock lock(&mu_);
  if (held_.received != received) held_ = ToVersion(received);
  heard_ = true;
  changed_.NotifyAll();
}

void WatchRunner::OnStatus(const v1::ResponseHeader& /*header*/, const v1::SourceStatus& status) {
  if (status.served_version() != 0) return;
  std::string why = absl::StrCat("the source is ", v1::SourceState_Name(status.state()));
  if (!status.violations().empty()) {
    const v1::Violation& violation = status.violations(0);
    absl::StrAppend(&why, ": ", EscapeForDisplay(violation.path()), ": ",
                    EscapeForDisplay(violation.message()));
  }
  MutexLock lock(&mu_);
  waits_for_ = std::move(why);
}

void WatchRunner::OnInSync() { Settle(); }

void WatchRunner::OnStale(absl::Duration silence) {
  {
    MutexLock lock(&mu_);
    // What was heard since it was told settled nothing; and where nothing is held nothing is stale.
    if (stale_ || held_.snapshot == nullptr) return;
    stale_ = true;
  }
  Log({Kind::kStale, Level::kWarning,
       absl::StrCat("nothing was heard for ",
                    absl::FormatDuration(absl::Trunc(silence, absl::Milliseconds(1))),
                    ": what is held of ", options_.source, " may be out of date")});
}

void WatchRunner::OnStartedOver(const absl::Status& why) {
  Log({Kind::kStartedOver, Level::kWarning, absl::StrCat("starts over: ", Text(why)),
       static_cast<StatusCode>(why.code())});
}

void WatchRunner::OnDisconnected(const absl::Status& why, absl::Duration retry_in) {
  {
    MutexLock lock(&mu_);
    waits_for_ = Text(why);
  }
  Log({Kind::kDisconnected, Level::kWarning,
       absl::StrCat("disconnected from ", connection_->address(), " (", Text(why),
                    "); tries again in ",
                    absl::FormatDuration(absl::Trunc(retry_in, absl::Milliseconds(1)))),
       static_cast<StatusCode>(why.code()), absl::ToChronoMilliseconds(retry_in)});
}

void WatchRunner::Settle() {
  bool was_stale = false;
  {
    MutexLock lock(&mu_);
    settled_ = true;
    was_stale = std::exchange(stale_, false);
    changed_.NotifyAll();
  }
  if (!was_stale) return;
  Log({Kind::kFresh, Level::kInfo,
       absl::StrCat("what is held of ", options_.source, " is current")});
}

void WatchRunner::Work() {
  runner_of_this_thread = this;
  if (cached_.snapshot != nullptr) Deliver(std::exchange(cached_, {}), /*from_cache=*/true);
  while (true) {
    Version next;
    {
      MutexLock lock(&mu_);
      while (!closed_ && !over_ && !heard_) changed_.Wait(&mu_);
      if (closed_) return;
      next = std::exchange(pending_, {});
      heard_ = false;
      if (next.snapshot == nullptr && over_) break;
    }
    if (next.snapshot == nullptr) {
      LogReport(reporter_->Retry());
    } else if (next.HasContentOf(delivered_)) {
      // What came between was missed, and what is back is in use.
      delivered_ = std::move(next);
      ReportDelivered();
    } else {
      Deliver(std::move(next), /*from_cache=*/false);
    }
  }
  // Not before the last change was told.
  const Status end = status();
  Log({Kind::kEnded, Level::kError,
       absl::StrCat("the watch of ", EscapeForDisplay(options_.source), " has ended: ",
                    std::string(StatusCodeName(end.code())), ": ", EscapeForDisplay(end.message())),
       end.code()});
}

void WatchRunner::Deliver(Version version, bool from_cache) {
  {
    MutexLock lock(&mu_);
    if (closed_) return;
  }
  outcome_ = CallOnChange({delivered_.snapshot, version.snapshot, from_cache});
  if (!outcome_.ok()) {
    Log({Kind::kRejected, Level::kWarning,
         absl::StrCat("version ", version.snapshot->version, " of ", options_.source,
                      " was rejected: ", EscapeForDisplay(outcome_.message()))});
  }
  delivered_ = std::move(version);
  if (disk_ != nullptr && !from_cache && outcome_.ok()) {
    if (absl::Status kept = disk_->Write(*delivered_.received); !kept.ok()) {
      Log({Kind::kCache, Level::kWarning,
           absl::StrCat("cannot keep version ", delivered_.snapshot->version, " in ",
                        EscapeForDisplay(disk_->path()), ": ", Text(kept))});
    }
  }
  ReportDelivered();
}

Status WatchRunner::CallOnChange(const Change& change) const {
  if (options_.on_change == nullptr) return Status();
  // Whatever it throws is no reason for the program to end.
  try {
    return options_.on_change(change);
  } catch (const std::exception& thrown) {
    return Status(StatusCode::kUnknown, thrown.what());
  } catch (...) {
    return Status(StatusCode::kUnknown, "on_change threw what is no std::exception");
  }
}

void WatchRunner::ReportDelivered() {
  if (options_.on_change == nullptr) return;
  LogReport(reporter_->Report(delivered_.received->header,
                              outcome_.ok() ? v1::OUTCOME_APPLIED : v1::OUTCOME_REJECTED,
                              outcome_.message()));
}

void WatchRunner::LogReport(const absl::Status& told) {
  if (told.ok() || absl::IsCancelled(told)) return;
  Log({Kind::kReport, Level::kWarning,
       absl::StrCat("could not report an outcome (", Text(told),
                    "); tries again with the next message")});
}

void WatchRunner::Log(const Event& event) {
  if (options_.log == nullptr) return;
  MutexLock lock(&log_mu_);
  options_.log(event);
}

WatchRunner::Version WatchRunner::ToVersion(std::shared_ptr<const ReceivedSnapshot> received) {
  auto snapshot = std::make_shared<Snapshot>();
  const v1::ResponseHeader& header = received->header;
  snapshot->source = header.source();
  snapshot->epoch = header.epoch();
  snapshot->version = header.version();
  snapshot->digest = header.digest();
  snapshot->view_digest = received->view_digest;
  // Saturating, whatever the server says.
  snapshot->publish_time =
      absl::ToChronoTime(absl::FromUnixSeconds(header.publish_time().seconds()) +
                         absl::Nanoseconds(header.publish_time().nanos()));
  snapshot->rolled_back_to = header.rolled_back_to();
  snapshot->missing_globs = received->missing_globs;
  snapshot->files.reserve(received->files.size());
  for (const ReceivedFile& file : received->files) {
    snapshot->files.push_back({file.path, file.content, file.digest.Text(), file.content_type,
                               file.last_changed_version});
  }
  return {std::move(received), std::move(snapshot)};
}

}  // namespace confstream
