#include "server/fanout/watch_hub.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/base/error_reason.h"
#include "server/base/random_id.h"
#include "server/base/text.h"
#include "server/fanout/messages.h"

namespace confstream {
namespace {

// As many violations as confstream.v1.SourceStatus documents.
constexpr size_t kMaxViolations = 100;

std::shared_ptr<const EncodedStatus> Encode(const SourceState& state, uint64_t number) {
  auto encoded = std::make_shared<EncodedStatus>();
  encoded->ordinary =
      state.status.condition == SourceCondition::kServing && state.status.polling_reason.empty() &&
      state.status.violations_total == 0 && !state.status.pin.has_value() &&
      state.status.history.state != HistoryStatus::kFailing && state.status.schema_problem.empty();
  encoded->number = number;
  v1::WatchResponse response;
  FillStatus(state, kMaxViolations, response.mutable_source_status());
  encoded->message = response.SerializeAsString();
  return encoded;
}

absl::Status Removed(const std::string& source) {
  return ErrorWithReason(absl::StatusCode::kNotFound, kSourceRemoved,
                         absl::StrCat("source `", source, "` was removed from the configuration"));
}

}  // namespace

WatchHub::WatchHub(const Clock* clock, const FanoutLimits& limits, Logger* log)
    : clock_(clock), limits_(limits), log_(log), cache_(limits.max_encoded_bytes) {}

void WatchHub::RemoveSource(const std::string& name) {
  std::shared_ptr<Source> source;
  {
    MutexLock lock(&mu_);
    const auto found = sources_.find(name);
    if (found == sources_.end()) return;
    source = std::move(found->second);
    sources_.erase(found);
  }
  const absl::Status removed = Removed(name);
  MutexLock lock(&source->mu);
  source->removed = true;
  for (const auto& [key, topic] : source->topics) {
    topic->End(removed);
    topic->audience().Notify();
  }
}

ViewState WatchHub::StateOf(const SourceState& state, std::shared_ptr<const EncodedStatus> status,
                            const View& view, const ViewSnapshot* before) {
  ViewState out;
  // What was a secret is given out for as long as it is the newest, and no longer.
  if (!state.sensitive) out.history = state.history;
  out.status = std::move(status);
  if (state.snapshot == nullptr) {
    out.position = PositionBeforeFirst(state.source, state.epoch);
    return out;
  }
  out.view = std::make_shared<const ViewSnapshot>(state.snapshot, view, before);
  out.position = out.view->position();
  return out;
}

void WatchHub::Update(std::shared_ptr<const SourceState> state) {
  const std::shared_ptr<Source> source = FindOrAdd(state);
  MutexLock lock(&source->mu);
  const bool new_content = source->state->snapshot != state->snapshot ||
                           source->state->epoch != state->epoch ||
                           source->state->history != state->history;
  const bool new_status = !source->state->status.SaysTheSameAs(state->status);
  source->state = std::move(state);
  if (!new_content && !new_status) return;
  // The version that it names is no reason to tell it again to those who were told before.
  source->status = Encode(*source->state, source->status->number + (new_status ? 1 : 0));
  for (const auto& [key, topic] : source->topics) {
    ViewState view = *topic->state();
    const std::shared_ptr<const ViewPosition> before = view.position;
    const bool had_view = view.view != nullptr;
    if (new_content) {
      view = StateOf(*source->state, source->status, topic->view(), view.view.get());
    }
    view.status = source->status;
    const bool view_changed =
        had_view != (view.view != nullptr) || before->view_digest() != view.position->view_digest();
    topic->SetState(std::move(view));
    // A stream wakes only for its view.
    if (view_changed || new_status) topic->audience().Notify();
  }
}

absl::StatusOr<std::unique_ptr<WatchSession>> WatchHub::Open(
    WatchSpec spec, const std::shared_ptr<Subscriber>& subscriber) {
  {
    MutexLock lock(&mu_);
    if (ended_.has_value()) return *ended_;
    if (streams_ >= limits_.max_streams) {
      return ErrorWithReason(absl::StatusCode::kResourceExhausted, kTooManyStreams,
                             absl::StrCat("the server has ", streams_,
                                          " Watch streams open, as many as max_streams allows"),
                             absl::Seconds(5));
    }
    ++streams_;
  }
  auto topic = Subscribe(spec, subscriber);
  MutexLock lock(&mu_);
  if (!topic.ok()) {
    if (--streams_ == 0) none_open_.NotifyAll();
    return topic.status();
  }
  // EndAll may have passed between the look above and the subscription.
  if (ended_.has_value()) (*topic)->End(*ended_);
  auto watcher = std::make_shared<Watcher>(RandomId(), spec, *topic, clock_->WallNow());
  watchers_.Add(watcher);
  return std::make_unique<WatchSession>(std::move(spec), std::move(watcher), *std::move(topic),
                                        &cache_);
}

absl::StatusOr<std::shared_ptr<ViewTopic>> WatchHub::Subscribe(
    const WatchSpec& spec, const std::shared_ptr<Subscriber>& subscriber) {
  const std::shared_ptr<Source> source = FindSource(spec.source);
  if (source == nullptr) return NotFound(spec.source);
  MutexLock lock(&source->mu);
  if (source->removed) return Removed(spec.source);  // not NotFound, which takes mu_
  std::shared_ptr<ViewTopic> topic;
  const auto found = source->topics.find(spec.view->key());
  if (found != source->topics.end()) {
    topic = found->second;
  } else if (static_cast<int64_t>(source->topics.size()) < limits_.max_views_per_source) {
    topic = std::make_shared<ViewTopic>(
        spec.source, *spec.view, StateOf(*source->state, source->status, *spec.view, nullptr));
    source->topics[spec.view->key()] = topic;
  } else {
    return ErrorWithReason(
        absl::StatusCode::kResourceExhausted, kTooManyViews,
        absl::StrCat("source `", spec.source, "` is watched by ", source->topics.size(),
                     " different sets of path globs, as many as max_views_per_source allows: let "
                     "clients ask for the same globs"),
        absl::Seconds(5));
  }
  // Registered and handed the current state in one critical section with Update: no version falls
  // between.
  topic->audience().Subscribe(subscriber);
  return topic;
}

void WatchHub::Close(const WatchSession& session, const Subscriber* subscriber) {
  const std::shared_ptr<ViewTopic>& topic = session.topic();
  const std::shared_ptr<Source> source = FindSource(topic->source());
  watchers_.Remove(session.watch_id());
  topic->audience().Unsubscribe(subscriber);
  if (source != nullptr) {
    MutexLock lock(&source->mu);
    const auto found = source->topics.find(topic->view().key());
    if (found != source->topics.end() && found->second == topic && topic->audience().empty()) {
      source->topics.erase(found);
    }
  }
  MutexLock lock(&mu_);
  if (--streams_ == 0) none_open_.NotifyAll();
}

void WatchHub::EndAll(const absl::Status& status) {
  std::vector<std::shared_ptr<Source>> sources;
  {
    MutexLock lock(&mu_);
    ended_ = status;
    for (const auto& [name, source] : sources_) sources.push_back(source);
  }
  for (const std::shared_ptr<Source>& source : sources) {
    MutexLock lock(&source->mu);
    for (const auto& [key, topic] : source->topics) {
      topic->End(status);
      topic->audience().Notify();
    }
  }
}

void WatchHub::AwaitAllClosed(absl::Duration most) {
  const Instant deadline = clock_->Now() + most;
  MutexLock lock(&mu_);
  for (Instant now = clock_->Now(); streams_ > 0 && now < deadline; now = clock_->Now()) {
    none_open_.WaitFor(&mu_, deadline - now);
  }
}

absl::StatusOr<std::shared_ptr<const SourceState>> WatchHub::Find(const std::string& name) const {
  const std::shared_ptr<Source> source = FindSource(name);
  if (source == nullptr) return NotFound(name);
  MutexLock lock(&source->mu);
  return source->state;
}

absl::Status WatchHub::NotFound(const std::string& name) const {
  constexpr size_t kNamed = 10;
  std::vector<std::string> names = SourceNames();
  const bool more = names.size() > kNamed;
  if (more) names.resize(kNamed);
  return ErrorWithReason(
      absl::StatusCode::kNotFound, kSourceNotFound,
      absl::StrCat("there is no source `", EscapeForDisplay(absl::string_view(name).substr(0, 64)),
                   "` on this server; it serves ",
                   names.empty() ? "none at all" : absl::StrJoin(names, ", "),
                   more ? ", ..." : ""));
}

std::vector<std::string> WatchHub::SourceNames() const {
  MutexLock lock(&mu_);
  std::vector<std::string> names;
  for (const auto& [name, source] : sources_) names.push_back(name);
  return names;
}

int64_t WatchHub::streams() const {
  MutexLock lock(&mu_);
  return streams_;
}

absl::StatusOr<std::vector<v1::Watcher>> WatchHub::ListWatchers(
    const std::string& source, const std::pair<std::string, std::string>& after,
    size_t max_count) const {
  if (!source.empty() && FindSource(source) == nullptr) return NotFound(source);
  std::vector<v1::Watcher> described;
  for (const auto& watcher : watchers_.List(source, after, max_count)) {
    described.push_back(watcher->Describe());
  }
  return described;
}

absl::Status WatchHub::ReportOutcome(const std::string& watch_id, int64_t version,
                                     v1::Outcome outcome, absl::string_view reason) {
  const std::shared_ptr<Watcher> watcher = watchers_.Find(watch_id);
  if (watcher == nullptr) {
    return ErrorWithReason(
        absl::StatusCode::kNotFound, kWatchNotFound,
        absl::StrCat("no Watch stream `",
                     EscapeForDisplay(absl::string_view(watch_id).substr(0, 64)),
                     "` is open on this server: report while the stream that delivered the version "
                     "is open"));
  }
  const auto news = watcher->NoteOutcome(version, outcome, reason, clock_->WallNow());
  if (!news.ok()) return news.status();
  if (*news && log_ != nullptr) LogRejection(*watcher, version, reason);
  return absl::OkStatus();
}

void WatchHub::LogRejection(const Watcher& watcher, int64_t version, absl::string_view reason) {
  const auto state = Find(watcher.source());
  // A reason may quote content.
  const bool quiet = !state.ok() || (*state)->sensitive;
  log_->Warning(
      "a client rejected a version",
      {{"source", watcher.source()},
       {"version", version},
       {"client_id", watcher.client_id()},
       {"watch_id", watcher.watch_id()},
       {"reason", quiet ? absl::string_view("not logged, the source is sensitive") : reason}});
}

std::shared_ptr<WatchHub::Source> WatchHub::FindOrAdd(
    const std::shared_ptr<const SourceState>& state) {
  MutexLock lock(&mu_);
  std::shared_ptr<Source>& source = sources_[state->source];
  if (source == nullptr) {
    source = std::make_shared<Source>();
    MutexLock source_lock(&source->mu);
    source->state = state;
    source->status = Encode(*state, 0);
  }
  return source;
}

std::shared_ptr<WatchHub::Source> WatchHub::FindSource(const std::string& name) const {
  MutexLock lock(&mu_);
  const auto found = sources_.find(name);
  return found == sources_.end() ? nullptr : found->second;
}

}  // namespace confstream
