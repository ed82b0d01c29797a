#include "server/publish/source_lane.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/error_reason.h"
#include "server/base/text.h"
#include "server/publish/trial.h"

namespace confstream {
namespace {

constexpr size_t kMaxSchemaProblemBytes = 4096;
// Its mount will never show a change again.
constexpr char kDetached[] = "source.detached";
// Its file system does not answer.
constexpr char kStalled[] = "source.stalled";

Violation WholeSource(std::string rule, absl::string_view message) {
  return {"", 0, 0, std::move(rule), EscapeForDisplay(message)};
}

absl::Status Retired() {
  return ErrorWithReason(absl::StatusCode::kUnavailable, kDraining,
                         "the source is being given other settings: try again", absl::Seconds(1));
}

// `status` has its violations.
SourceCondition ConditionOf(const SourceStatus& status, bool served) {
  const std::string rule = status.violations.empty() ? "" : status.violations.front().rule;
  if (rule == kDetached) return SourceCondition::kDetached;
  if (rule == kStalled) return SourceCondition::kStalled;
  if (!served) return SourceCondition::kWaiting;
  return status.violations_total == 0 ? SourceCondition::kServing : SourceCondition::kDegraded;
}

}  // namespace

SourceLane::SourceLane(const LaneContext* context, const SourceConfig& config,
                       std::shared_ptr<const SchemaSet> schemas, uint64_t incarnation,
                       std::shared_ptr<SnapshotStore> store)
    : context_(*context),
      config_(config),
      incarnation_(incarnation),
      store_(std::move(store)),
      said_(config, context->journals->Of(config.name), context->log),
      reader_(context->clock, context->file_system, config),
      schemas_(std::move(schemas)),
      validator_(config, schemas_) {}

void SourceLane::Announce() {
  MutexLock lock(&mu_);
  if (const auto latest = store_->latest(); latest != nullptr) {
    mounted_.violations = {WholeSource(kNotReadRule,
                                       "the files have not been read since the server started: "
                                       "what is served was restored from the history")};
    mounted_.violations_total = 1;
    said_.Restored(*latest);
  }
  TellLocked();
}

void SourceLane::Replace(SourceLane* before) {
  Mounted mounted;
  std::optional<absl::Time> verified_time;
  std::optional<PinEnd> pin_end;
  std::shared_ptr<const SourceState> state;
  {
    MutexLock lock(&before->mu_);
    before->retired_ = true;
    mounted = before->mounted_;
    // Without one it stands for the newest snapshot of that store, which need not be this one's.
    if (mounted.digest.has_value() && !mounted.generation.has_value()) {
      mounted.generation = GenerationOf(*before->store_->latest());
    }
    verified_time = before->verified_time_;
    pin_end = before->pin_end_;
    state = before->state_;
  }
  MutexLock lock(&mu_);
  mounted_ = std::move(mounted);
  verified_time_ = verified_time;
  pin_end_ = pin_end;
  state_ = std::move(state);
}

void SourceLane::Retire() {
  MutexLock lock(&mu_);
  retired_ = true;
}

ReadOutcome SourceLane::Publish(const ReadRequest& request, ReadAnswerSink* answers) {
  MutexLock lock(&reading_mu_);
  if (!BeginReading(request)) return ReadOutcome::kDone;
  Reading reading = reader_.Read(request);
  const bool asks = reading.result == Reading::kGeneration && reading.needs_quiet;
  return EndReading(std::move(reading), !asks || answers->QuietSince(request));
}

bool SourceLane::BeginReading(const ReadRequest& request) {
  MutexLock lock(&mu_);
  reading_ = request.number;
  polling_reason_ = request.polled_because;
  return !retired_;
}

void SourceLane::ExpectReading(uint64_t request_number) {
  MutexLock lock(&mu_);
  reading_ = request_number;
}

void SourceLane::EndPatience(uint64_t request_number) {
  MutexLock lock(&mu_);
  if (retired_ || reading_ != request_number) return;
  stalled_ = true;
  said_.Stalled();
  TellLocked();
}

ReadOutcome SourceLane::EndReading(Reading reading, bool quiet) {
  MutexLock lock(&mu_);
  reading_ = 0;
  if (retired_) return ReadOutcome::kDone;
  const bool was_stalled = std::exchange(stalled_, false);
  if (reading.mount_warning != mount_warning_) {
    mount_warning_ = reading.mount_warning;
    if (!mount_warning_.empty()) said_.MountWithoutUpdates(mount_warning_);
  }
  const ReadOutcome outcome = TakeReadingLocked(std::move(reading), quiet);
  const bool untold = outcome == ReadOutcome::kMoved || outcome == ReadOutcome::kUnsettled;
  if (was_stalled && untold) TellLocked();
  return outcome;
}

ReadOutcome SourceLane::TakeReadingLocked(Reading reading, bool quiet) {
  switch (reading.result) {
    case Reading::kMoved:
      return ReadOutcome::kMoved;
    case Reading::kUnsettled:
      return ReadOutcome::kUnsettled;
    case Reading::kFailed:
      RefuseLocked(WholeSource("source.unreadable", reading.status.message()));
      return ReadOutcome::kFailed;
    case Reading::kMissing:
      RefuseLocked(WholeSource("source.missing", reading.status.message()));
      return ReadOutcome::kDone;
    case Reading::kDetached:
      RefuseLocked(WholeSource(kDetached, reading.status.message()));
      return ReadOutcome::kDone;
    case Reading::kGeneration:
      break;
  }
  if (!quiet) return ReadOutcome::kUnsettled;
  mounted_ = Mounted();
  if (reading.violations.empty()) mounted_.digest = reading.digest;
  mounted_.refused = std::move(reading.violations);
  mounted_.generation = std::move(reading.generation);
  mounted_.was_read = true;
  WeighLocked();
  return ReadOutcome::kDone;
}

void SourceLane::RefuseLocked(Violation violation) {
  mounted_ = Mounted();
  mounted_.was_read = true;
  mounted_.violations_total = 1;
  mounted_.violations = {std::move(violation)};
  said_.Refused(mounted_.violations, mounted_.violations_total);
  WeighLocked();
}

void SourceLane::WeighLocked() {
  if (PinExpiredLocked()) EndPinLocked(PinEnd::kExpired);
  if (mounted_.digest.has_value() || mounted_.generation.has_value()) {
    Validator::Verdict verdict =
        mounted_.generation.has_value()
            ? validator_.Validate(*mounted_.generation, mounted_.refused)
            : validator_.Validate(GenerationOf(*store_->latest()), mounted_.refused);
    mounted_.violations = std::move(verdict.violations);
    mounted_.violations_total = verdict.total;
    if (verdict.total == 0) {
      PublishMountedLocked();
    } else {
      said_.Refused(mounted_.violations, mounted_.violations_total);
    }
  }
  TellLocked();
}

void SourceLane::PublishMountedLocked() {
  if (!PassesPinLocked()) {
    said_.HeldOff();
    verified_time_ = context_.clock->WallNow();
    return;
  }
  const auto latest = store_->latest();
  // Equal content is no new version, whatever the events said.
  if (latest != nullptr && latest->digest == *mounted_.digest) {
    said_.Unchanged(latest->version);
  } else {
    // Said before it is told: the log of a server that is killed names all that anybody was sent.
    said_.Published(*store_->Append(*std::move(mounted_.generation), *mounted_.digest,
                                    context_.clock->WallNow()));
  }
  mounted_.generation.reset();
  verified_time_ = context_.clock->WallNow();
}

bool SourceLane::PassesPinLocked() {
  const std::optional<Pin> pin = store_->pin();
  if (!pin.has_value()) return true;
  if (*mounted_.digest == pin->replaced || mounted_.digest == pin->last_read) return false;
  EndPinLocked(PinEnd::kNewContent);
  return true;
}

void SourceLane::EndPinLocked(PinEnd::Reason reason) {
  pin_end_ = {reason, context_.clock->WallNow(), store_->pin()->version};
  said_.PinEnded(*pin_end_);
  store_->SetPin(std::nullopt);
}

bool SourceLane::PinExpiredLocked() const {
  const std::optional<Pin> pin = store_->pin();
  return pin.has_value() && context_.clock->WallNow() >= pin->expire_time;
}

void SourceLane::Tell() {
  MutexLock lock(&mu_);
  if (!retired_) TellLocked();
}

void SourceLane::RefreshSchemas() {
  MutexLock lock(&mu_);
  if (retired_ || schemas_->IsCurrent()) return;
  // Before loading: what is written meanwhile is to be looked at again.
  auto as_of_now = schemas_->AsOfNow();
  auto loaded = SchemaSet::Load(config_.rules);
  if (!loaded.ok()) {
    schemas_ = std::move(as_of_now);  // said once, until the files change again
    schema_problem_ = LinesForDisplay(loaded.status().message(), kMaxSchemaProblemBytes);
    said_.SchemasNotLoaded(schema_problem_);
    TellLocked();
    return;
  }
  schema_problem_.clear();
  schemas_ = *std::move(loaded);
  validator_ = Validator(config_, schemas_);
  said_.SchemasLoaded();
  WeighLocked();
}

void SourceLane::EndExpiredPin() {
  MutexLock lock(&mu_);
  if (!retired_ && PinExpiredLocked()) WeighLocked();
}

absl::StatusOr<std::shared_ptr<const SourceState>> SourceLane::Rollback(
    const RollbackOrder& order) {
  MutexLock lock(&mu_);
  if (retired_) return Retired();
  const auto latest = store_->latest();
  if (latest != nullptr && order.expected_version != 0 &&
      order.expected_version != latest->version) {
    return ErrorWithReason(absl::StatusCode::kAborted, kVersionMismatch,
                           absl::StrCat("source `", config_.name, "` is at version ",
                                        latest->version, ", not at ", order.expected_version,
                                        " as expected: look at what has changed, then decide"));
  }
  const std::optional<Pin> before = store_->pin();
  const bool renews = latest != nullptr && before.has_value() && before->version == order.version;
  std::shared_ptr<const Snapshot> old;
  if (!renews) {
    old = store_->Find(order.version);
    if (latest == nullptr || old == nullptr) {
      return ErrorWithReason(
          absl::StatusCode::kNotFound, kVersionNotRetained,
          absl::StrCat("version ", order.version, " of source `", config_.name,
                       "` is not retained: `confstream history` (ListSnapshots) tells which are"));
    }
    absl::Status valid = TryVersion(config_, schemas_, *old);
    if (!valid.ok()) return valid;
    HoldMountedLocked();
  }
  const Pin pin = PinForLocked(order, latest->digest);
  if (old != nullptr && old->digest != latest->digest) {
    said_.Published(*store_->AppendRollback(*old, context_.clock->WallNow(), pin));
  } else {
    store_->SetPin(pin);
  }
  said_.Pinned(pin, renews);
  TellLocked();
  return state_;
}

void SourceLane::HoldMountedLocked() {
  if (mounted_.digest.has_value() && !mounted_.generation.has_value()) {
    mounted_.generation = GenerationOf(*store_->latest());
  }
}

Pin SourceLane::PinForLocked(const RollbackOrder& order, const Sha256& replaced) const {
  const absl::Time now = context_.clock->WallNow();
  Pin pin{order.version,  now, now + order.expire_after, EscapeForDisplay(order.reason), replaced,
          mounted_.digest};
  const std::optional<Pin> before = store_->pin();
  if (!before.has_value()) return pin;
  // What was held off is held off still.
  pin.replaced = before->replaced;
  if (before->version == order.version || !pin.last_read.has_value()) {
    pin.last_read = before->last_read;
  }
  return pin;
}

absl::StatusOr<std::shared_ptr<const SourceState>> SourceLane::Unpin() {
  MutexLock lock(&mu_);
  if (retired_) return Retired();
  if (!store_->pin().has_value()) {
    return ErrorWithReason(absl::StatusCode::kFailedPrecondition, kNotPinned,
                           absl::StrCat("source `", config_.name, "` is not pinned"));
  }
  EndPinLocked(PinEnd::kUnpinned);
  WeighLocked();
  return state_;
}

DryRunResult SourceLane::DryRun(Generation files) const {
  std::shared_ptr<const SchemaSet> schemas;
  {
    MutexLock lock(&mu_);
    schemas = schemas_;
  }
  return TryFiles(config_, std::move(schemas), files);
}

std::shared_ptr<const SourceState> SourceLane::state() const {
  MutexLock lock(&mu_);
  return state_;
}

void SourceLane::TellLocked() {
  store_->DropOld(context_.clock->WallNow());
  auto state = std::make_shared<SourceState>();
  state->source = config_.name;
  state->epoch = store_->epoch();
  state->snapshot = store_->latest();
  state->history = store_;
  state->sensitive = config_.sensitive;
  state->required = config_.required;
  SourceStatus& status = state->status;
  const absl::Time now = context_.clock->WallNow();
  status.violations = mounted_.violations;
  status.violations_total = mounted_.violations_total;
  if (stalled_) {
    status.violations = {WholeSource(
        kStalled, absl::StrCat("the file system does not answer within ",
                               absl::FormatDuration(config_.read_timeout),
                               ": see to the server of the file system that has ", config_.path))};
    status.violations_total = 1;
  }
  status.condition = ConditionOf(status, state->snapshot != nullptr);
  status.polling_reason = polling_reason_;
  status.schema_problem = schema_problem_;
  status.pin = store_->pin();
  if (!status.pin.has_value()) status.pin_end = pin_end_;
  status.history = store_->status();
  const std::shared_ptr<const SourceState> before = std::move(state_);
  status.since = before != nullptr && before->status.condition == status.condition
                     ? before->status.since
                     : now;
  status.verified_time = verified_time_;
  state_ = std::move(state);
  for (SourceStateSink* sink : context_.sinks) sink->Update(state_);
  if (mounted_.was_read || stalled_) said_.Condition(before.get(), *state_);
}

}  // namespace confstream
