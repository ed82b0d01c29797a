#include "server/publish/publisher.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/text.h"

namespace confstream {
namespace {

constexpr size_t kLoggedViolations = 10;

Violation WholeSource(std::string rule, absl::string_view message) {
  return {"", 0, 0, std::move(rule), EscapeForDisplay(message)};
}

}  // namespace

// One source on its way through the workers. `mu` is held for the whole of a reading: it keeps one
// that was under way when the source was given other settings apart from the next.
struct Publisher::Lane {
  Lane(const Clock* clock, FileSystem* file_system, const SourceConfig& source_config,
       uint64_t source_incarnation, std::shared_ptr<SnapshotStore> snapshot_store)
      : config(source_config),
        incarnation(source_incarnation),
        store(std::move(snapshot_store)),
        reader(clock, file_system, source_config),
        validator(source_config.limits) {}

  const SourceConfig config;
  const uint64_t incarnation;
  const std::shared_ptr<SnapshotStore> store;

  Mutex mu;
  SnapshotReader reader ABSL_GUARDED_BY(mu);
  Validator validator ABSL_GUARDED_BY(mu);
  std::shared_ptr<const SourceState> state ABSL_GUARDED_BY(mu);

  // Guarded by Publisher::mu_.
  bool was_read = false;
  bool removed = false;
};

Publisher::Publisher(const Clock* clock, FileSystem* file_system,
                     std::vector<SourceStateSink*> sinks, int workers, Logger* log)
    : clock_(clock),
      file_system_(file_system),
      sinks_(std::move(sinks)),
      log_(log),
      workers_(workers) {}

Publisher::~Publisher() = default;

void Publisher::AddSource(const SourceConfig& config, uint64_t incarnation) {
  std::shared_ptr<Lane> before;
  {
    MutexLock lock(&mu_);
    const auto found = lanes_.find(config.name);
    if (found != lanes_.end()) {
      before = found->second;
      before->removed = true;
    }
  }
  auto lane = std::make_shared<Lane>(
      clock_, file_system_, config, incarnation,
      before != nullptr ? before->store : std::make_shared<SnapshotStore>(config.name, NewEpoch()));
  if (before != nullptr) {
    // Waits for a reading under way, whose state is the last of the old settings.
    MutexLock before_lock(&before->mu);
    MutexLock lane_lock(&lane->mu);
    lane->state = before->state;
  } else {
    // Whoever asks before the first reading is told of the epoch at least.
    auto state = std::make_shared<SourceState>();
    state->source = config.name;
    state->epoch = lane->store->epoch();
    state->status.since = clock_->WallNow();
    for (SourceStateSink* sink : sinks_) sink->Update(state);
  }
  MutexLock lock(&mu_);
  lanes_[config.name] = std::move(lane);
}

void Publisher::RemoveSource(const std::string& name) {
  std::shared_ptr<Lane> lane;
  {
    MutexLock lock(&mu_);
    const auto found = lanes_.find(name);
    if (found == lanes_.end()) return;
    lane = std::move(found->second);
    lane->removed = true;
    lanes_.erase(found);
    first_reading_.NotifyAll();
  }
  // Waits for a reading under way: what it hands over must not reach a source of the same name that
  // is added next.
  MutexLock lane_lock(&lane->mu);
}

void Publisher::Submit(ReadRequest request) {
  std::shared_ptr<Lane> lane;
  {
    MutexLock lock(&mu_);
    const auto found = lanes_.find(request.source);
    if (found == lanes_.end() || found->second->incarnation != request.incarnation) return;
    lane = found->second;
  }
  workers_.Submit([this, lane, request = std::move(request)] { Serve(lane, request); });
}

bool Publisher::AwaitFirstReadings(absl::Duration timeout) {
  const Instant deadline = clock_->Now() + timeout;
  MutexLock lock(&mu_);
  while (true) {
    const bool all = std::all_of(lanes_.begin(), lanes_.end(),
                                 [](const auto& entry) { return entry.second->was_read; });
    const absl::Duration left = deadline - clock_->Now();
    if (all || left <= absl::ZeroDuration()) return all;
    first_reading_.WaitFor(&mu_, left);
  }
}

void Publisher::Serve(const std::shared_ptr<Lane>& lane, const ReadRequest& request) {
  ReadOutcome outcome = ReadOutcome::kDone;
  {
    MutexLock lane_lock(&lane->mu);
    bool removed = false;
    {
      MutexLock lock(&mu_);
      removed = lane->removed;
    }
    if (!removed) outcome = Publish(lane.get(), request);
  }
  answers_->Answer({request.source, request.incarnation, outcome});
  MutexLock lock(&mu_);
  // Content that has to settle first comes soon: a client should not be told that there is none.
  if (outcome == ReadOutcome::kMoved || outcome == ReadOutcome::kUnsettled) return;
  lane->was_read = true;
  first_reading_.NotifyAll();
}

ReadOutcome Publisher::Publish(Lane* lane, const ReadRequest& request) {
  lane->mu.AssertHeld();
  Reading reading = lane->reader.Read(request);
  switch (reading.result) {
    case Reading::kMoved:
      return ReadOutcome::kMoved;
    case Reading::kUnsettled:
      return ReadOutcome::kUnsettled;
    case Reading::kFailed:
      Refuse(lane, request, {WholeSource("source.unreadable", reading.status.message())}, 1);
      return ReadOutcome::kFailed;
    case Reading::kMissing:
      return Refuse(lane, request, {WholeSource("source.missing", reading.status.message())}, 1);
    case Reading::kGeneration:
      break;
  }
  if (reading.needs_quiet && !answers_->QuietSince(request)) return ReadOutcome::kUnsettled;
  if (!reading.violations.empty()) {
    const auto total = static_cast<int64_t>(reading.violations.size());
    return Refuse(lane, request, std::move(reading.violations), total);
  }
  Validator::Verdict verdict = lane->validator.Validate(reading.generation);
  if (!verdict.ok()) return Refuse(lane, request, std::move(verdict.violations), verdict.total);

  // Equal content is no new version, whatever the events said.
  const auto& latest = lane->store->latest();
  if (latest == nullptr || latest->digest != reading.digest) {
    const auto& snapshot =
        lane->store->Append(std::move(reading.generation), reading.digest, clock_->WallNow());
    log_->Info("published", {{"source", snapshot->source},
                             {"version", snapshot->version},
                             {"digest", snapshot->digest.Text()},
                             {"files", static_cast<int64_t>(snapshot->files.size())}});
  }
  HandOver(lane, request, {}, 0);
  return ReadOutcome::kDone;
}

ReadOutcome Publisher::Refuse(Lane* lane, const ReadRequest& request,
                              std::vector<Violation> violations, int64_t total) {
  lane->mu.AssertHeld();
  if (violations.size() > Validator::kMaxViolations) violations.resize(Validator::kMaxViolations);
  HandOver(lane, request, std::move(violations), total);
  return ReadOutcome::kDone;
}

void Publisher::HandOver(Lane* lane, const ReadRequest& request, std::vector<Violation> violations,
                         int64_t total) {
  lane->mu.AssertHeld();
  auto state = std::make_shared<SourceState>();
  state->source = lane->config.name;
  state->epoch = lane->store->epoch();
  state->snapshot = lane->store->latest();
  SourceStatus& status = state->status;
  const absl::Time now = clock_->WallNow();
  status.condition = state->snapshot == nullptr ? SourceCondition::kWaiting
                     : total == 0               ? SourceCondition::kServing
                                                : SourceCondition::kDegraded;
  status.change_detection = request.watched ? ChangeDetection::kInotify : ChangeDetection::kPolling;
  status.violations = std::move(violations);
  status.violations_total = total;
  const SourceState* before = lane->state.get();
  status.since = before != nullptr && before->status.condition == status.condition
                     ? before->status.since
                     : now;
  if (total == 0) {
    status.verified_time = now;
  } else if (before != nullptr) {
    status.verified_time = before->status.verified_time;
  }
  const bool news = before == nullptr || !before->status.SaysTheSameAs(status);
  const bool was_refused = before != nullptr && before->status.violations_total > 0;
  lane->state = std::move(state);
  if (news && total > 0) LogRefusal(*lane);
  if (news && total == 0 && was_refused) {
    log_->Info("content is valid again", {{"source", lane->config.name}});
  }
  for (SourceStateSink* sink : sinks_) sink->Update(lane->state);
}

void Publisher::LogRefusal(const Lane& lane) const {
  lane.mu.AssertHeld();
  const SourceStatus& status = lane.state->status;
  const int64_t served = lane.state->snapshot == nullptr ? 0 : lane.state->snapshot->version;
  for (size_t i = 0; i < status.violations.size() && i < kLoggedViolations; ++i) {
    const Violation& violation = status.violations[i];
    log_->Warning("refused", {{"source", lane.config.name},
                              {"path", violation.path},
                              {"line", violation.line},
                              {"column", violation.column},
                              {"rule", violation.rule},
                              {"reason", violation.message},
                              {"violations", status.violations_total},
                              {"served_version", served}});
  }
}

}  // namespace confstream
