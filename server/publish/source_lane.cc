#include "server/publish/source_lane.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/error_reason.h"
#include "server/base/text.h"

namespace confstream {
namespace {

constexpr size_t kLoggedViolations = 10;
// Before the first reading of a source that has a history.
constexpr char kNotRead[] = "source.not_read";

Violation WholeSource(std::string rule, absl::string_view message) {
  return {"", 0, 0, std::move(rule), EscapeForDisplay(message)};
}

Generation GenerationOf(const Snapshot& snapshot) {
  Generation generation;
  generation.files.reserve(snapshot.files.size());
  for (const SnapshotFile& file : snapshot.files) {
    generation.files.push_back({file.path, file.content});
  }
  return generation;
}

absl::Status Retired() {
  return ErrorWithReason(absl::StatusCode::kUnavailable, kDraining,
                         "the source is being given other settings: try again", absl::Seconds(1));
}

std::string Sentence(const Violation& violation) {
  const std::string place = violation.line > 0 ? absl::StrCat(":", violation.line) : "";
  return absl::StrCat(violation.path, place, violation.path.empty() ? "" : ": ", violation.message);
}

}  // namespace

SourceLane::SourceLane(const LaneContext* context, const SourceConfig& config,
                       std::shared_ptr<const SchemaSet> schemas, uint64_t incarnation,
                       std::shared_ptr<SnapshotStore> store)
    : context_(*context),
      config_(config),
      incarnation_(incarnation),
      store_(std::move(store)),
      schemas_(std::move(schemas)),
      reader_(context->clock, context->file_system, config),
      validator_(config, schemas_) {}

void SourceLane::Announce() {
  MutexLock lock(&mu_);
  if (const auto latest = store_->latest(); latest != nullptr) {
    mounted_.violations = {WholeSource(kNotRead,
                                       "the files have not been read since the server started: "
                                       "what is served was restored from the history")};
    mounted_.violations_total = 1;
    context_.log->Info(
        "restored",
        {{"source", config_.name}, {"version", latest->version}, {"epoch", latest->epoch}});
  }
  TellLocked();
}

void SourceLane::Replace(SourceLane* before) {
  Mounted mounted;
  std::optional<absl::Time> verified_time;
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
    state = before->state_;
  }
  MutexLock lock(&mu_);
  mounted_ = std::move(mounted);
  verified_time_ = verified_time;
  state_ = std::move(state);
}

void SourceLane::Retire() {
  MutexLock lock(&mu_);
  retired_ = true;
}

ReadOutcome SourceLane::Publish(const ReadRequest& request, ReadAnswerSink* answers) {
  MutexLock lock(&mu_);
  if (retired_) return ReadOutcome::kDone;
  Reading reading = reader_.Read(request);
  watched_ = request.watched;
  switch (reading.result) {
    case Reading::kMoved:
      return ReadOutcome::kMoved;
    case Reading::kUnsettled:
      return ReadOutcome::kUnsettled;
    case Reading::kFailed:
      RefuseLocked({WholeSource("source.unreadable", reading.status.message())});
      return ReadOutcome::kFailed;
    case Reading::kMissing:
      RefuseLocked({WholeSource("source.missing", reading.status.message())});
      return ReadOutcome::kDone;
    case Reading::kGeneration:
      break;
  }
  if (reading.needs_quiet && !answers->QuietSince(request)) return ReadOutcome::kUnsettled;
  if (!reading.violations.empty()) {
    RefuseLocked(std::move(reading.violations));
    return ReadOutcome::kDone;
  }
  mounted_ = Mounted();
  mounted_.digest = reading.digest;
  mounted_.generation = std::move(reading.generation);
  mounted_.was_read = true;
  WeighLocked();
  return ReadOutcome::kDone;
}

void SourceLane::RefuseLocked(std::vector<Violation> violations) {
  mounted_ = Mounted();
  mounted_.was_read = true;
  mounted_.violations_total = static_cast<int64_t>(violations.size());
  if (violations.size() > Validator::kMaxViolations) violations.resize(Validator::kMaxViolations);
  mounted_.violations = std::move(violations);
  WeighLocked();
}

void SourceLane::WeighLocked() {
  if (PinExpiredLocked()) EndPinLocked("it expired");
  if (mounted_.digest.has_value()) {
    Validator::Verdict verdict = validator_.Validate(
        mounted_.generation.has_value() ? *mounted_.generation : GenerationOf(*store_->latest()));
    mounted_.violations = std::move(verdict.violations);
    mounted_.violations_total = verdict.total;
    if (verdict.total == 0) PublishMountedLocked();
  }
  TellLocked();
}

void SourceLane::PublishMountedLocked() {
  if (!PassesPinLocked()) return;
  const auto latest = store_->latest();
  // Equal content is no new version, whatever the events said.
  if (latest == nullptr || latest->digest != *mounted_.digest) {
    LogPublished(*store_->Append(*std::move(mounted_.generation), *mounted_.digest,
                                 context_.clock->WallNow()));
  }
  mounted_.generation.reset();
  verified_time_ = context_.clock->WallNow();
}

bool SourceLane::PassesPinLocked() {
  const std::optional<Pin> pin = store_->pin();
  if (!pin.has_value()) return true;
  if (*mounted_.digest == pin->replaced || mounted_.digest == pin->last_read) return false;
  EndPinLocked("the files have got new valid content");
  return true;
}

void SourceLane::EndPinLocked(absl::string_view why) {
  context_.log->Info("unpinned", {{"source", config_.name},
                                  {"pinned_version", store_->pin()->version},
                                  {"reason", std::string(why)}});
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
    context_.log->Error("schemas not loaded, the old ones stay",
                        {{"source", config_.name}, {"reason", loaded.status().message()}});
    schemas_ = std::move(as_of_now);  // said once, until the files change again
    return;
  }
  schemas_ = *std::move(loaded);
  validator_ = Validator(config_, schemas_);
  context_.log->Info("schemas loaded", {{"source", config_.name}});
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
  const auto old = store_->Find(order.version);
  if (latest == nullptr || old == nullptr) {
    return ErrorWithReason(
        absl::StatusCode::kNotFound, kVersionNotRetained,
        absl::StrCat("version ", order.version, " of source `", config_.name,
                     "` is not retained: `confstream history` (ListSnapshots) tells which are"));
  }
  if (order.expected_version != 0 && order.expected_version != latest->version) {
    return ErrorWithReason(absl::StatusCode::kAborted, kVersionMismatch,
                           absl::StrCat("source `", config_.name, "` is at version ",
                                        latest->version, ", not at ", order.expected_version,
                                        " as expected: look at what has changed, then decide"));
  }
  Validator::Verdict verdict = Validator(config_, schemas_).Validate(GenerationOf(*old));
  CheckSettings(*old, &verdict);
  if (verdict.total > 0) {
    return ErrorWithReason(
        absl::StatusCode::kFailedPrecondition, kInvalidContent,
        absl::StrCat("version ", order.version, " of source `", config_.name, "` breaks ",
                     verdict.total, " of today's rules: ", Sentence(verdict.violations.front())));
  }
  // Unpinning will ask for it.
  if (mounted_.digest.has_value() && !mounted_.generation.has_value()) {
    mounted_.generation = GenerationOf(*latest);
  }
  const absl::Time now = context_.clock->WallNow();
  if (old->digest != latest->digest) LogPublished(*store_->AppendRollback(*old, now));
  // While it is pinned already, what was held off before is held off still.
  const std::optional<Pin> before = store_->pin();
  store_->SetPin(Pin{
      order.version, now, now + order.expire_after, EscapeForDisplay(order.reason),
      before.has_value() ? before->replaced : latest->digest,
      mounted_.digest.has_value() || !before.has_value() ? mounted_.digest : before->last_read});
  context_.log->Warning("pinned", {{"source", config_.name},
                                   {"pinned_version", order.version},
                                   {"reason", EscapeForDisplay(order.reason)}});
  TellLocked();
  return state_;
}

absl::StatusOr<std::shared_ptr<const SourceState>> SourceLane::Unpin() {
  MutexLock lock(&mu_);
  if (retired_) return Retired();
  if (!store_->pin().has_value()) {
    return ErrorWithReason(absl::StatusCode::kFailedPrecondition, kNotPinned,
                           absl::StrCat("source `", config_.name, "` is not pinned"));
  }
  EndPinLocked("an operator asked for it");
  WeighLocked();
  return state_;
}

DryRunResult SourceLane::DryRun(Generation files) const {
  std::shared_ptr<const SchemaSet> schemas;
  {
    MutexLock lock(&mu_);
    schemas = schemas_;
  }
  DryRunResult result;
  Validator::Verdict verdict = Validator(config_, std::move(schemas)).Validate(files);
  result.violations = std::move(verdict.violations);
  result.total = verdict.total;
  TreeDigest digest;
  for (const GenerationFile& file : files.files) digest.Add(file.path, file.content->digest);
  result.digest = digest.Finish();
  return result;
}

std::shared_ptr<const SourceState> SourceLane::state() const {
  MutexLock lock(&mu_);
  return state_;
}

void SourceLane::CheckSettings(const Snapshot& old, Validator::Verdict* verdict) const {
  const SourceLimits& limits = config_.limits;
  const auto refuse = [verdict](const std::string& path, const char* rule, const char* message) {
    verdict->violations.push_back({path, 0, 0, rule, message});
    ++verdict->total;
  };
  int64_t total = 0;
  for (const SnapshotFile& file : old.files) {
    const auto matches = [&file](const PathGlob& glob) { return glob.Matches(file.path); };
    const bool included = config_.include.empty() ||
                          std::any_of(config_.include.begin(), config_.include.end(), matches);
    if (!included || std::any_of(config_.exclude.begin(), config_.exclude.end(), matches)) {
      refuse(file.path, "paths.excluded", "the file is not part of the source any more");
    }
    const auto size = static_cast<int64_t>(file.content->bytes.size());
    if (size > limits.max_file_bytes) {
      refuse(file.path, "limits.file_size", "the file is larger than limits.max_file_size");
    }
    total += size;
  }
  if (total > limits.max_total_bytes) {
    refuse("", "limits.total_size", "all files together are larger than limits.max_total_size");
  }
  if (static_cast<int64_t>(old.files.size()) > limits.max_files) {
    refuse("", "limits.files", "there are more files than limits.max_files");
  }
}

void SourceLane::TellLocked() {
  store_->DropOld(context_.clock->WallNow());
  auto state = std::make_shared<SourceState>();
  state->source = config_.name;
  state->epoch = store_->epoch();
  state->snapshot = store_->latest();
  state->history = store_;
  state->sensitive = config_.sensitive;
  SourceStatus& status = state->status;
  const absl::Time now = context_.clock->WallNow();
  status.violations = mounted_.violations;
  status.violations_total = mounted_.violations_total;
  status.condition = state->snapshot == nullptr       ? SourceCondition::kWaiting
                     : mounted_.violations_total == 0 ? SourceCondition::kServing
                                                      : SourceCondition::kDegraded;
  status.change_detection = watched_ ? ChangeDetection::kInotify : ChangeDetection::kPolling;
  status.pin = store_->pin();
  status.history = store_->status();
  const std::shared_ptr<const SourceState> before = std::move(state_);
  status.since = before != nullptr && before->status.condition == status.condition
                     ? before->status.since
                     : now;
  status.verified_time = verified_time_;
  state_ = std::move(state);
  LogNewsLocked(before.get());
  for (SourceStateSink* sink : context_.sinks) sink->Update(state_);
}

void SourceLane::LogNewsLocked(const SourceState* before) const {
  const SourceStatus& status = state_->status;
  if (!mounted_.was_read) return;
  if (before != nullptr && before->status.violations == status.violations &&
      before->status.violations_total == status.violations_total) {
    return;
  }
  if (status.violations_total == 0) {
    if (before != nullptr && before->status.violations_total > 0 &&
        before->status.violations.front().rule != kNotRead) {
      context_.log->Info("content is valid again", {{"source", config_.name}});
    }
    return;
  }
  const int64_t served = state_->snapshot == nullptr ? 0 : state_->snapshot->version;
  for (size_t i = 0; i < std::min(status.violations.size(), kLoggedViolations); ++i) {
    const Violation& violation = status.violations[i];
    context_.log->Warning("refused", {{"source", config_.name},
                                      {"path", violation.path},
                                      {"line", violation.line},
                                      {"column", violation.column},
                                      {"rule", violation.rule},
                                      {"reason", violation.message},
                                      {"violations", status.violations_total},
                                      {"served_version", served}});
  }
}

void SourceLane::LogPublished(const Snapshot& snapshot) const {
  context_.log->Info(
      "published",
      {{"source", snapshot.source},
       {"version", snapshot.version},
       {"digest", config_.sensitive ? std::string("not shown") : snapshot.digest.Text()},
       {"origin", snapshot.origin == SnapshotOrigin::kRollback
                      ? absl::StrCat("rollback to ", snapshot.rolled_back_to)
                      : std::string("files")},
       {"files", static_cast<int64_t>(snapshot.files.size())}});
}

}  // namespace confstream
