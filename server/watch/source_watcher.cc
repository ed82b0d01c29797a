#include "server/watch/source_watcher.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <utility>

namespace confstream {
namespace {

// A path that keeps changing while it is being resolved is planned for again after this pause.
constexpr absl::Duration kPlanPause = absl::Milliseconds(10);
// What cannot be watched is looked at this often.
constexpr absl::Duration kUnwatchedInterval = absl::Seconds(1);
// A reading that the file system refused is tried again after this, doubled each time up to the
// bound.
constexpr absl::Duration kFirstRetry = absl::Milliseconds(20);
constexpr absl::Duration kLongestRetry = absl::Seconds(5);
// Every so many rescans no file's bytes are reused: a second store through mmap changes no time
// stamp at all.
constexpr int kRescansPerFullReading = 10;

}  // namespace

// Everything that the watch thread knows about one source.
struct SourceWatcher::Source {
  Source(SourceConfig source_config, uint64_t source_incarnation, FileSystem* file_system,
         EventSource* events)
      : config(std::move(source_config)),
        incarnation(source_incarnation),
        plan(std::make_unique<WatchPlan>(file_system, events, config)),
        debouncer(config.settle, config.max_delay) {
    touched.AddAll();
  }

  const SourceConfig config;
  const uint64_t incarnation;
  std::unique_ptr<WatchPlan> plan;
  Debouncer debouncer;

  Instant plan_at;               // when to plan again; infinite: the plan holds
  bool tree_may_differ = false;  // plan again before the next reading
  bool watch_ended = false;      // since the last plan
  bool watched = true;           // every directory of the plan can be watched
  bool reading = false;          // a request is in flight
  Instant read_not_before;       // after a refusal of the file system
  absl::Duration retry = kFirstRetry;
  Instant rescan_at;
  int rescans = 0;
  bool reuse_nothing = false;
  uint64_t activity = 0;  // events that concerned the source
  TouchedFiles touched;   // since the last request
};

// A worker that waits to be told whether the source has been quiet.
struct SourceWatcher::Probe {
  const ReadRequest* request;
  std::optional<bool> quiet;
};

SourceWatcher::SourceWatcher(const Clock* clock, FileSystem* file_system, EventSource* events,
                             ReadLane* lane, Logger* log)
    : clock_(clock),
      file_system_(file_system),
      events_(events),
      lane_(lane),
      log_(log),
      wake_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {}

SourceWatcher::~SourceWatcher() = default;

void SourceWatcher::AddSource(SourceConfig config, uint64_t incarnation) {
  Post([this, config = std::move(config), incarnation](Instant now) {
    Add(config, incarnation, now);
  });
}

void SourceWatcher::RemoveSource(std::string name) {
  Post([this, name = std::move(name)](Instant) { sources_.erase(name); });
}

void SourceWatcher::RescanAll() {
  Post([this](Instant) {
    rescans_.requested.fetch_add(1, std::memory_order_relaxed);
    for (auto& [name, source] : sources_) Rescan(source.get());
  });
}

void SourceWatcher::Answer(ReadAnswer answer) {
  Post([this, answer = std::move(answer)](Instant now) { TakeAnswer(answer, now); });
}

bool SourceWatcher::QuietSince(const ReadRequest& request) {
  Probe probe{&request, std::nullopt};
  MutexLock lock(&mu_);
  if (stopped_) return false;
  probes_.push_back(&probe);
  Wake();
  // Either the watch thread or Stop() answers.
  while (!probe.quiet.has_value()) probe_answered_.Wait(&mu_);
  return *probe.quiet;
}

void SourceWatcher::AskForReading(const std::string& source) {
  Post([this, source](Instant) {
    const auto found = sources_.find(source);
    if (found == sources_.end()) return;
    rescans_.requested.fetch_add(1, std::memory_order_relaxed);
    Rescan(found->second.get());
    found->second->reuse_nothing = true;
  });
}

void SourceWatcher::Post(Command command) {
  MutexLock lock(&mu_);
  commands_.push_back(std::move(command));
  Wake();
}

void SourceWatcher::Wake() {
  const uint64_t one = 1;
  // The only failure is a counter that is full, which wakes as well.
  [[maybe_unused]] const ssize_t written = write(wake_.get(), &one, sizeof(one));
}

void SourceWatcher::Stop() {
  MutexLock lock(&mu_);
  stopped_ = true;
  for (Probe* probe : probes_) probe->quiet = false;
  probes_.clear();
  probe_answered_.NotifyAll();
  Wake();
}

void SourceWatcher::Run() {
  while (true) {
    {
      MutexLock lock(&mu_);
      if (stopped_) return;
    }
    const Instant next = Step(clock_->Now());
    timespec timeout{};
    timespec* bound = nullptr;
    if (next != Instant::Infinite()) {
      timeout = absl::ToTimespec(std::max(absl::ZeroDuration(), next - clock_->Now()));
      bound = &timeout;
    }
    // poll(2) passes over negative descriptors.
    pollfd waiting[] = {{wake_.get(), POLLIN, 0}, {events_->descriptor(), POLLIN, 0}};
    ppoll(waiting, 2, bound, nullptr);
  }
}

Instant SourceWatcher::Step(Instant now) {
  uint64_t count = 0;
  [[maybe_unused]] const ssize_t got = read(wake_.get(), &count, sizeof(count));
  // A probe that waits now is answered once all events that came before it have been taken.
  std::vector<Probe*> probes;
  {
    MutexLock lock(&mu_);
    probes.swap(probes_);
  }
  TakeEvents(now);
  AnswerProbes(probes);
  TakeCommands(now);
  Instant next = Instant::Infinite();
  for (auto& [name, source] : sources_) {
    if (now >= source->rescan_at) {
      rescans_.periodic.fetch_add(1, std::memory_order_relaxed);
      Rescan(source.get());
    }
    if (now >= source->plan_at) PlanAgain(source.get(), now);
    SubmitIfDue(source.get(), now);
    next = std::min(next, NextTurn(*source));
  }
  return next;
}

void SourceWatcher::TakeEvents(Instant now) {
  for (const WatchEvent& event : events_->Drain()) {
    if (event.kind == WatchEvent::kEventsLost) {
      rescans_.overflow.fetch_add(1, std::memory_order_relaxed);
      log_->Warning("events lost, looking at every source again", {{"reason", "overflow"}});
      for (auto& [name, source] : sources_) {
        Rescan(source.get());
        ++source->activity;
        source->touched.AddAll();
        // Anything may have been going on: only what came through a commit point is known to be
        // complete.
        source->debouncer.NoteChange(now);
        if (const Hop* data = FindDataHop(source->plan->route()); data != nullptr) {
          source->debouncer.NoteCommit({data->directory, data->name});
        }
      }
      continue;
    }
    for (auto& [name, source] : sources_) TakeEvent(source.get(), event, now);
  }
}

void SourceWatcher::TakeEvent(Source* source, const WatchEvent& event, Instant now) {
  EventMeaning meaning = source->plan->Interpret(event);
  if (meaning.what == EventMeaning::kNothing) return;
  ++source->activity;
  if (meaning.touched_all) source->touched.AddAll();
  for (std::string& path : meaning.touched) source->touched.Add(std::move(path));
  if (meaning.plan_again) source->plan_at = now;
  source->tree_may_differ = source->tree_may_differ || meaning.tree_may_differ;
  source->watch_ended = source->watch_ended || meaning.watch_ended;
  switch (meaning.what) {
    case EventMeaning::kNothing:
      break;
    case EventMeaning::kCommit:
      source->debouncer.NoteCommit(std::move(meaning.hop));
      break;
    case EventMeaning::kChange:
      source->debouncer.NoteChange(now);
      if (event.kind == WatchEvent::kDeleted || event.kind == WatchEvent::kMovedOut) {
        source->debouncer.NoteClosed(meaning.file);
      }
      break;
    case EventMeaning::kWriting:
      source->debouncer.NoteWriting(meaning.file, now);
      break;
    case EventMeaning::kClosed:
      source->debouncer.NoteClosed(meaning.file);
      source->debouncer.NoteChange(now);
      break;
  }
}

void SourceWatcher::TakeCommands(Instant now) {
  std::vector<Command> commands;
  {
    MutexLock lock(&mu_);
    commands.swap(commands_);
  }
  for (const Command& command : commands) command(now);
}

void SourceWatcher::Add(SourceConfig config, uint64_t incarnation, Instant now) {
  const std::string name = config.name;
  auto source = std::make_unique<Source>(std::move(config), incarnation, file_system_, events_);
  source->plan_at = now;
  source->debouncer.NoteRecheck();
  // Spread, so that a hundred sources are not all looked at in the same moment.
  source->rescan_at = now + source->config.rescan_interval * (1.0 - (added_++ % 16) / 32.0);
  sources_[name] = std::move(source);
}

void SourceWatcher::AnswerProbes(const std::vector<Probe*>& probes) {
  MutexLock lock(&mu_);
  for (Probe* probe : probes) {
    const auto found = sources_.find(probe->request->source);
    probe->quiet = found != sources_.end() &&
                   found->second->incarnation == probe->request->incarnation &&
                   found->second->activity == probe->request->activity;
  }
  probe_answered_.NotifyAll();
}

void SourceWatcher::TakeAnswer(const ReadAnswer& answer, Instant now) {
  const auto found = sources_.find(answer.source);
  if (found == sources_.end() || found->second->incarnation != answer.incarnation) return;
  Source* source = found->second.get();
  source->reading = false;
  if (answer.outcome != ReadOutcome::kFailed) source->retry = kFirstRetry;
  switch (answer.outcome) {
    case ReadOutcome::kDone:
      source->debouncer.ReadingEnds();
      break;
    case ReadOutcome::kMoved:
      source->debouncer.ReadingWasVoid(now);
      source->plan_at = now;
      break;
    case ReadOutcome::kUnsettled:
      source->debouncer.ReadingWasUnsettled(now);
      break;
    case ReadOutcome::kFailed:
      source->debouncer.ReadingWasVoid(now);
      source->read_not_before = source->plan_at = now + source->retry;
      source->retry = std::min(2 * source->retry, kLongestRetry);
      break;
  }
}

void SourceWatcher::Rescan(Source* source) {
  source->plan_at = Instant();
  source->rescan_at = Instant::Infinite();  // set anew once the plan is known to hold
  source->debouncer.NoteRecheck();
  source->reuse_nothing = source->reuse_nothing || ++source->rescans % kRescansPerFullReading == 0;
}

void SourceWatcher::PlanAgain(Source* source, Instant now) {
  const WatchPlan::Armed armed = source->plan->Arm();
  source->plan_at = armed.agreed ? Instant::Infinite() : now + kPlanPause;
  source->tree_may_differ = false;
  if (armed.rerouted) source->touched.AddAll();
  if (std::exchange(source->watch_ended, false)) {
    rescans_.watch_ended.fetch_add(1, std::memory_order_relaxed);
    source->debouncer.NoteRecheck();
  }
  NoteWatching(source, armed.watching, now);
}

void SourceWatcher::NoteWatching(Source* source, const absl::Status& watching, Instant now) {
  const bool watched = watching.ok();
  if (!watched) rescans_.watch_refused.fetch_add(1, std::memory_order_relaxed);
  if (watched != source->watched) {
    source->watched = watched;
    if (watched) {
      log_->Info("watching again", {{"source", source->config.name}});
    } else {
      log_->Warning("cannot watch, looking again every second instead",
                    {{"source", source->config.name}, {"reason", watching.ToString()}});
    }
  }
  const absl::Duration interval = watched ? source->config.rescan_interval : kUnwatchedInterval;
  if (source->rescan_at == Instant::Infinite() || source->rescan_at > now + interval) {
    source->rescan_at = now + interval;
  }
}

void SourceWatcher::SubmitIfDue(Source* source, Instant now) {
  if (source->reading || now < source->read_not_before) return;
  std::optional<Debouncer::Due> due = source->debouncer.Next();
  if (!due.has_value() || now < due->when) return;
  if (source->tree_may_differ) {
    const WatchPlan::Armed armed = source->plan->Arm();
    source->tree_may_differ = false;
    if (!armed.agreed) source->plan_at = now + kPlanPause;
    // What has come into the tree may still be written to, and nobody has told so: it settles once
    // more.
    if (armed.grown && due->cause == ReadCause::kSettled) {
      source->debouncer.NoteChange(now);
      return;
    }
  }
  if (source->plan_at != Instant::Infinite()) return;  // the plan is being made anew
  ReadRequest request;
  request.source = source->config.name;
  request.incarnation = source->incarnation;
  request.route = source->plan->route();
  request.cause = due->cause;
  request.commit = std::move(due->commit);
  request.watched = source->watched;
  request.touched = std::exchange(source->touched, {});
  request.reuse_nothing = std::exchange(source->reuse_nothing, false);
  request.activity = source->activity;
  source->debouncer.ReadingBegins();
  source->reading = true;
  lane_->Submit(std::move(request));
}

Instant SourceWatcher::NextTurn(const Source& source) const {
  Instant next = std::min(source.plan_at, source.rescan_at);
  if (source.reading) return next;
  if (const std::optional<Debouncer::Due> due = source.debouncer.Next(); due.has_value()) {
    next = std::min(next,
                    std::max({due->when, source.read_not_before,
                              source.plan_at == Instant::Infinite() ? Instant() : source.plan_at}));
  }
  return next;
}

}  // namespace confstream
