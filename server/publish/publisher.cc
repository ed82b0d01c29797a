#include "server/publish/publisher.h"

#include <algorithm>
#include <system_error>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/error_reason.h"
#include "server/base/text.h"

namespace confstream {
namespace {

// How long an operator's call waits for the disk before it answers that it has not.
constexpr absl::Duration kDiskPatience = absl::Seconds(5);
constexpr absl::Duration kSchemaInterval = absl::Seconds(1);

}  // namespace

Publisher::Publisher(LaneContext context, History* history, int workers)
    : context_(std::move(context)), history_(history), workers_(workers), tending_(1) {
  history_->SetObserver(this);
}

Publisher::~Publisher() { Stop(); }

bool Publisher::Stop(absl::Duration patience) {
  history_->SetObserver(nullptr);
  tending_.Stop();
  workers_.Stop();
  const Instant deadline = context_.clock->Now() + patience;
  MutexLock lock(&mu_);
  stopped_ = true;
  while (apart_ > 0) {
    const absl::Duration left = deadline - context_.clock->Now();
    if (left <= absl::ZeroDuration()) return false;
    apart_done_.WaitFor(&mu_, left);
  }
  return true;
}

void Publisher::EndWaits() {
  MutexLock lock(&mu_);
  waits_ended_ = true;
  reading_done_.NotifyAll();
  for (const auto& [name, entry] : sources_) {
    if (entry.lane != nullptr) entry.lane->store()->EndWaits();
  }
}

void Publisher::AddSource(const SourceConfig& config, std::shared_ptr<const SchemaSet> schemas,
                          uint64_t incarnation) {
  const bool has_schemas = !config.rules.schemas.empty();
  const auto lane = std::make_shared<SourceLane>(&context_, config, std::move(schemas), incarnation,
                                                 history_->Source(config));
  std::shared_ptr<SourceLane> before;
  {
    MutexLock lock(&mu_);
    Entry& entry = sources_[config.name];
    before = std::exchange(entry.lane, lane);
    entry.begun = entry.done = 0;
  }
  if (before != nullptr) {
    lane->Replace(before.get());
  } else {
    lane->Announce();
  }
  if (has_schemas) TendSchemas(lane);
  AwaitPinExpiry(lane);
}

void Publisher::RemoveSource(const std::string& name) {
  std::shared_ptr<SourceLane> lane;
  {
    MutexLock lock(&mu_);
    const auto found = sources_.find(name);
    if (found == sources_.end()) return;
    lane = std::move(found->second.lane);
    sources_.erase(found);
    reading_done_.NotifyAll();
  }
  // What a reading under way hands over must not reach a source of the same name that is added
  // next.
  lane->Retire();
}

void Publisher::Submit(ReadRequest request) {
  std::shared_ptr<SourceLane> lane;
  {
    MutexLock lock(&mu_);
    const auto found = sources_.find(request.source);
    if (found == sources_.end()) return;
    if (found->second.lane->incarnation() != request.incarnation) return;
    lane = found->second.lane;
  }
  if (request.may_hang) {
    ServeApart(lane, request);
  } else {
    workers_.Submit([this, lane, request = std::move(request)] { Serve(lane, request); });
  }
}

void Publisher::ServeApart(const std::shared_ptr<SourceLane>& lane, const ReadRequest& request) {
  {
    MutexLock lock(&mu_);
    if (stopped_) return;
    ++apart_;
  }
  lane->ExpectReading(request.number);
  tending_.SubmitAfter(lane->config().read_timeout,
                       [weak = std::weak_ptr<SourceLane>(lane), number = request.number] {
                         const std::shared_ptr<SourceLane> alive = weak.lock();
                         if (alive != nullptr) alive->EndPatience(number);
                       });
  const auto end = [this] {
    MutexLock lock(&mu_);
    --apart_;
    apart_done_.NotifyAll();
  };
  try {
    std::thread([this, lane, request, end] {
      Serve(lane, request);
      end();
    }).detach();
  } catch (const std::system_error&) {  // no more threads: it is tried again after a while
    answers_->Answer({request.source, request.incarnation, ReadOutcome::kFailed});
    end();
  }
}

void Publisher::Serve(const std::shared_ptr<SourceLane>& lane, const ReadRequest& request) {
  int64_t number = 0;
  {
    MutexLock lock(&mu_);
    const auto found = sources_.find(request.source);
    if (found != sources_.end() && found->second.lane == lane) number = ++found->second.begun;
  }
  const ReadOutcome outcome = lane->Publish(request, answers_);
  answers_->Answer({request.source, request.incarnation, outcome});
  // Content that has to settle first comes soon: a client should not be told that there is none.
  if (outcome == ReadOutcome::kMoved || outcome == ReadOutcome::kUnsettled) return;
  MutexLock lock(&mu_);
  const auto found = sources_.find(request.source);
  if (found == sources_.end() || found->second.lane != lane) return;
  found->second.done = number;
  reading_done_.NotifyAll();
}

bool Publisher::AwaitFirstReadings(absl::Duration timeout) {
  const Instant deadline = context_.clock->Now() + timeout;
  MutexLock lock(&mu_);
  while (true) {
    const bool all = std::all_of(sources_.begin(), sources_.end(),
                                 [](const auto& entry) { return entry.second.done > 0; });
    const absl::Duration left = deadline - context_.clock->Now();
    if (all || left <= absl::ZeroDuration()) return all;
    reading_done_.WaitFor(&mu_, left);
  }
}

absl::StatusOr<ControlResult> Publisher::Rollback(const RollbackOrder& order) {
  const auto lane = Find(order.source);
  if (!lane.ok()) return lane.status();
  const auto state = (*lane)->Rollback(order);
  if (!state.ok()) return state.status();
  AwaitPinExpiry(*lane);
  return ControlResult{*state, (*lane)->store()->AwaitRecorded(kDiskPatience)};
}

absl::StatusOr<ControlResult> Publisher::Unpin(const std::string& source) {
  const auto lane = Find(source);
  if (!lane.ok()) return lane.status();
  const auto state = (*lane)->Unpin();
  if (!state.ok()) return state.status();
  return ControlResult{*state, (*lane)->store()->AwaitRecorded(kDiskPatience)};
}

absl::StatusOr<std::shared_ptr<const SourceState>> Publisher::Reload(const std::string& source,
                                                                     absl::Duration timeout) {
  const auto lane = Find(source);
  if (!lane.ok()) return lane.status();
  const Instant deadline = context_.clock->Now() + timeout;
  int64_t wanted = 0;
  {
    MutexLock lock(&mu_);
    const auto found = sources_.find(source);
    if (found != sources_.end()) wanted = found->second.begun + 1;
  }
  answers_->AskForReading(source);
  MutexLock lock(&mu_);
  while (true) {
    const auto found = sources_.find(source);
    if (found == sources_.end()) break;
    if (found->second.lane != *lane) wanted = 1;  // other settings meanwhile
    if (found->second.done >= wanted) break;
    if (waits_ended_) {
      return ErrorWithReason(absl::StatusCode::kUnavailable, kDraining,
                             "the server is shutting down");
    }
    const absl::Duration left = deadline - context_.clock->Now();
    if (left <= absl::ZeroDuration()) {
      return absl::DeadlineExceededError(absl::StrCat(
          "source `", source, "` is still being read after ", absl::FormatDuration(timeout),
          ": the reading goes on, its result will be seen in the source's status"));
    }
    reading_done_.WaitFor(&mu_, left);
  }
  return (*lane)->state();
}

absl::StatusOr<SourceConfig> Publisher::Config(const std::string& source) {
  const auto lane = Find(source);
  if (!lane.ok()) return lane.status();
  return (*lane)->config();
}

absl::StatusOr<DryRunResult> Publisher::DryRun(const std::string& source, Generation files) {
  const auto lane = Find(source);
  if (!lane.ok()) return lane.status();
  return (*lane)->DryRun(std::move(files));
}

absl::StatusOr<std::vector<SourceEvent>> Publisher::Events(const std::string& source) {
  const auto lane = Find(source);
  if (!lane.ok()) return lane.status();
  return context_.journals->Of(source)->Events();
}

void Publisher::HistoryChanged(const std::string& source) {
  const auto lane = Find(source);
  // Not here: the lane may be validating, and the history has to go on recording.
  if (lane.ok()) tending_.Submit([lane = *lane] { lane->Tell(); });
}

absl::StatusOr<std::shared_ptr<SourceLane>> Publisher::Find(const std::string& source) {
  MutexLock lock(&mu_);
  const auto found = sources_.find(source);
  if (found != sources_.end()) return found->second.lane;
  return ErrorWithReason(
      absl::StatusCode::kNotFound, kSourceNotFound,
      absl::StrCat("there is no source `", EscapeForDisplay(source.substr(0, 64)),
                   "` on this server: `confstream ls` (ListSources) tells which there are"));
}

void Publisher::TendSchemas(const std::weak_ptr<SourceLane>& lane) {
  tending_.SubmitAfter(kSchemaInterval, [this, lane] {
    const std::shared_ptr<SourceLane> alive = lane.lock();
    if (alive == nullptr) return;
    alive->RefreshSchemas();
    TendSchemas(lane);
  });
}

void Publisher::AwaitPinExpiry(const std::shared_ptr<SourceLane>& lane) {
  const std::optional<Pin> pin = lane->store()->pin();
  if (!pin.has_value() || pin->expire_time == absl::InfiniteFuture()) return;
  const absl::Duration left =
      std::max(absl::ZeroDuration(), pin->expire_time - context_.clock->WallNow());
  tending_.SubmitAfter(left, [this, weak = std::weak_ptr<SourceLane>(lane)] {
    const std::shared_ptr<SourceLane> alive = weak.lock();
    if (alive == nullptr) return;
    alive->EndExpiredPin();
    AwaitPinExpiry(alive);  // the time of day may have been set back
  });
}

}  // namespace confstream
