#include "server/watch/source_watcher.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/watch/event_words.h"
#include "server/watch/plan_pacer.h"

namespace confstream {
namespace {

// A path that keeps changing while it is being resolved is planned for again after this pause.
constexpr absl::Duration kPlanPause = absl::Milliseconds(10);
// How often it is tried to watch what could not be watched.
constexpr absl::Duration kWatchRetry = absl::Seconds(10);
// Polls that take long are followed by pauses of this many times as long, so that polling takes no
// more than 5 % of a thread. One that takes longer than the one before counts as that one: a file
// system that did not answer for a moment is not punished by changes that are seen minutes late.
constexpr int kPauseFactor = 19;
constexpr absl::Duration kMountsPause = absl::Seconds(1);
constexpr absl::Duration kEventsLostPause = absl::Seconds(1);
// What is written to files that are not read is noted this often.
constexpr absl::Duration kLeftOutPause = absl::Seconds(1);
// A reading that the file system refused is tried again after this, doubled each time up to the
// bound.
constexpr absl::Duration kFirstRetry = absl::Milliseconds(20);
constexpr absl::Duration kLongestRetry = absl::Seconds(5);
// Every so many rescans or polls no file's bytes are reused: a second store through mmap changes no
// time stamp at all.
constexpr int kLooksPerFullReading = 10;

}  // namespace

// Everything that the watch thread knows about one source.
struct SourceWatcher::Source {
  Source(SourceConfig source_config, uint64_t source_incarnation, FileSystem* file_system,
         const MountGuard* guard, EventSource* events,
         std::shared_ptr<SourceJournal> source_journal)
      : config(std::move(source_config)),
        incarnation(source_incarnation),
        journal(std::move(source_journal)),
        plan(std::make_unique<WatchPlan>(file_system, guard, events, config)),
        debouncer(config.settle, config.max_delay) {
    touched.AddAll();
  }

  const SourceConfig config;
  const uint64_t incarnation;
  const std::shared_ptr<SourceJournal> journal;
  std::unique_ptr<WatchPlan> plan;
  Debouncer debouncer;

  Instant plan_at;               // when to plan again; infinite: the plan holds
  bool plan_is_late = false;     // what it lacks has been there for a while, unwatched
  bool route_holds = false;      // where the source leads is known, whatever else the plan lacks
  bool tree_may_differ = false;  // plan again before the next reading
  PlanPacer pacer;
  bool watch_ended = false;    // since the last plan
  std::string polled_because;  // why some change would not be told; empty: all are
  bool may_hang = false;
  std::vector<Mount> mounts;   // all that count for the source
  bool settling_said = false;  // the journal says that a reading is waited for
  bool reading = false;        // a request is in flight
  Instant reading_since;
  absl::Duration last_reading;  // how long it took
  Instant read_not_before;      // after a refusal of the file system
  absl::Duration retry = kFirstRetry;
  Instant rescan_at;
  Instant poll_at = Instant::Infinite();
  int looks = 0;  // rescans and polls
  bool reuse_nothing = false;
  Instant left_out_not_before;
  uint64_t activity = 0;  // events that concerned the source
  TouchedFiles touched;   // since the last request
  // Of a plan made in this turn, with all that it leads through held: a reading that begins now
  // need not look at it once more.
  std::optional<ResolvedPath> fresh_route;
};

// A worker that waits to be told whether the source has been quiet.
struct SourceWatcher::Probe {
  const ReadRequest* request;
  std::optional<bool> quiet;
};

SourceWatcher::SourceWatcher(const Clock* clock, FileSystem* file_system, EventSource* events,
                             ReadLane* lane, SourceJournals* journals, Logger* log)
    : clock_(clock),
      file_system_(file_system),
      events_(events),
      lane_(lane),
      journals_(journals),
      log_(log),
      mountinfo_(open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC)),
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
    for (auto& [name, source] : sources_) {
      source->journal->Note(SourceEvent::kHint,
                            "the server was asked to look at every source again");
      Rescan(source.get());
    }
  });
}

void SourceWatcher::MountsChanged() {
  Post([this](Instant) { mounts_changed_ = true; });
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
    found->second->journal->Note(SourceEvent::kHint, "an operator asked to read every file again");
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
    pollfd waiting[] = {{wake_.get(), POLLIN, 0},
                        {events_->descriptor(), POLLIN, 0},
                        {mountinfo_.get(), POLLPRI, 0}};
    // Mounts that have changed are reported once.
    if (ppoll(waiting, 3, bound, nullptr) > 0 && waiting[2].revents != 0) MountsChanged();
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
  if (events_lost_ && now >= events_lost_not_before_) LookForLostEvents(now);
  if (events_lost_) next = events_lost_not_before_;
  if (mounts_changed_ && now >= mounts_not_before_) LookAtMounts(now);
  if (mounts_changed_) next = std::min(next, mounts_not_before_);
  for (auto& [name, source] : sources_) {
    if (now >= source->rescan_at) LookPeriodically(source.get());
    if (now >= source->poll_at) Poll(source.get());
    if (now >= source->plan_at) PlanAgain(source.get(), now);
    SubmitIfDue(source.get(), now);
    source->fresh_route.reset();
    next = std::min(next, NextTurn(*source));
  }
  return next;
}

void SourceWatcher::TakeEvents(Instant now) {
  for (const WatchEvent& event : events_->Drain()) {
    if (event.kind == WatchEvent::kEventsLost) {
      rescans_.overflow.fetch_add(1, std::memory_order_relaxed);
      events_lost_ = true;
      // Nobody can tell for which of them: no reading may call itself undisturbed.
      for (auto& [name, source] : sources_) {
        ++source->activity;
        source->touched.AddAll();
      }
      continue;
    }
    for (auto& [name, source] : sources_) TakeEvent(source.get(), event, now);
  }
}

void SourceWatcher::TakeEvent(Source* source, const WatchEvent& event, Instant now) {
  EventMeaning meaning = source->plan->Interpret(event);
  if (meaning.what == EventMeaning::kNothing) {
    if (!meaning.left_out.empty() && now >= source->left_out_not_before) {
      source->left_out_not_before = now + kLeftOutPause;
      source->journal->Note(SourceEvent::kHint, WordsFor(event, meaning));
    }
    return;
  }
  ++source->activity;
  source->journal->Note(SourceEvent::kHint, WordsFor(event, meaning));
  if (meaning.touched_all) source->touched.AddAll();
  for (std::string& path : meaning.touched) source->touched.Add(std::move(path));
  if (meaning.route_may_differ) {
    source->route_holds = false;
    source->plan_at = std::min(source->plan_at, source->pacer.NextForRoute(now));
  }
  if (meaning.directory_came_or_went) PlanForTree(source, now);
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
  auto source = std::make_unique<Source>(std::move(config), incarnation, file_system_, &guard_,
                                         events_, journals_->Of(name));
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
  if (!source->polled_because.empty()) {
    const absl::Duration took = now - source->reading_since;
    const absl::Duration pause =
        kPauseFactor * std::min(took, std::exchange(source->last_reading, took));
    source->poll_at = now + std::max(source->config.poll_interval, pause);
  }
  if (answer.outcome != ReadOutcome::kFailed) source->retry = kFirstRetry;
  switch (answer.outcome) {
    case ReadOutcome::kDone:
      source->debouncer.ReadingEnds();
      break;
    case ReadOutcome::kMoved:
      source->journal->Note(SourceEvent::kRead, "the path leads elsewhere by now: once more");
      source->debouncer.ReadingWasVoid(now);
      source->route_holds = false;
      source->plan_at = now;
      break;
    case ReadOutcome::kUnsettled:
      source->journal->Note(SourceEvent::kRead, "the files were changing meanwhile: once more");
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
  CountLook(source);
}

void SourceWatcher::CountLook(Source* source) {
  source->reuse_nothing = source->reuse_nothing || ++source->looks % kLooksPerFullReading == 0;
}

void SourceWatcher::LookPeriodically(Source* source) {
  if (source->polled_because.empty()) {
    rescans_.periodic.fetch_add(1, std::memory_order_relaxed);
    Rescan(source);
  } else {
    // It is polled in its own time: only whether it can be watched by now is of interest.
    source->plan_at = Instant();
    source->rescan_at = Instant::Infinite();
  }
}

void SourceWatcher::Poll(Source* source) {
  rescans_.polled.fetch_add(1, std::memory_order_relaxed);
  source->poll_at = Instant::Infinite();  // set anew once it has been read
  source->debouncer.NoteRecheck();
  CountLook(source);
}

void SourceWatcher::LookForLostEvents(Instant now) {
  events_lost_ = false;
  // One source that is written to without pause must not have all others read without pause.
  events_lost_not_before_ = now + kEventsLostPause;
  log_->Warning("events lost, looking at every source again", {{"reason", "overflow"}});
  for (auto& [name, source] : sources_) {
    source->journal->Note(SourceEvent::kHint,
                          "the kernel dropped events: anything may have changed");
    source->route_holds = false;
    // What the files' times show to be at rest is read at once, the rest settles.
    Rescan(source.get());
  }
}

void SourceWatcher::LookAtMounts(Instant now) {
  mounts_changed_ = false;
  mounts_not_before_ = now + kMountsPause;
  auto mounts = file_system_->Mounts();
  if (!mounts.ok()) {
    // Without /proc nobody tells; but what could not be read this time is asked for again.
    mounts_changed_ = !absl::IsNotFound(mounts.status());
    return;
  }
  mounts_ = *std::move(mounts);
  guard_ = MountGuard(mounts_);
  for (auto& [name, source] : sources_) {
    if (source->plan->route().hops.empty()) continue;  // not looked at yet, or never
    if (source->mounts == source->plan->ConcernedMounts(mounts_)) continue;
    rescans_.mounts.fetch_add(1, std::memory_order_relaxed);
    source->journal->Note(SourceEvent::kHint, "something was mounted or unmounted on the way");
    Rescan(source.get());
  }
}

void SourceWatcher::PlanForTree(Source* source, Instant now) {
  source->plan_at = std::min(source->plan_at, source->pacer.NextForTree(now));
  source->plan_is_late = source->plan_is_late || now < source->plan_at;
}

void SourceWatcher::PlanAgain(Source* source, Instant now) {
  const Instant began = clock_->Now();
  WatchPlan::Armed armed;
  if (source->config.always_poll) {
    armed.watching = absl::UnavailableError("the source's setting always_poll is on");
    armed.may_hang = true;  // nobody has looked
  } else {
    armed = source->plan->Arm();
    source->fresh_route = std::move(armed.route);
  }
  const absl::Duration took = clock_->Now() - began;
  source->pacer.NotePlan(now, took);
  const Instant soon = now + took + kPlanPause;
  source->plan_at = armed.agreed         ? Instant::Infinite()
                    : armed.route_agreed ? source->pacer.NextForTree(soon)
                                         : source->pacer.NextForRoute(soon);
  source->tree_may_differ = false;
  source->route_holds = armed.route_agreed;
  // What has come into the tree may still be written to, and nobody has told so: it settles once
  // more.
  if (armed.grown && source->plan_is_late) source->debouncer.NoteChange(now);
  source->plan_is_late = !armed.agreed;
  if (armed.rerouted) {
    source->touched.AddAll();
    const ResolvedPath& route = source->plan->route();
    source->journal->Note(SourceEvent::kResolve, route.status.ok()
                                                     ? absl::StrCat("leads to ", route.target)
                                                     : std::string(route.status.message()));
  }
  if (std::exchange(source->watch_ended, false)) {
    rescans_.watch_ended.fetch_add(1, std::memory_order_relaxed);
    source->debouncer.NoteRecheck();
  }
  source->mounts = source->plan->ConcernedMounts(mounts_);
  NoteWatching(source, armed, now);
}

void SourceWatcher::NoteWatching(Source* source, const WatchPlan::Armed& armed, Instant now) {
  std::string because(armed.watching.message());
  if (!armed.watching.ok()) rescans_.watch_refused.fetch_add(1, std::memory_order_relaxed);
  source->may_hang = armed.may_hang;
  if (because.empty() != source->polled_because.empty()) {
    if (because.empty()) {
      log_->Info("watching again", {{"source", source->config.name}});
    } else {
      log_->Warning("cannot watch, polling instead",
                    {{"source", source->config.name},
                     {"every", absl::FormatDuration(source->config.poll_interval)},
                     {"reason", because}});
    }
    source->journal->Note(SourceEvent::kResolve,
                          because.empty() ? std::string("changes are watched again")
                                          : absl::StrCat("changes are polled: ", because));
    source->debouncer.NoteRecheck();  // so that the status says it, too
    source->poll_at = Instant::Infinite();
  }
  source->polled_because = std::move(because);
  const absl::Duration interval =
      source->polled_because.empty() ? source->config.rescan_interval : kWatchRetry;
  if (source->rescan_at == Instant::Infinite() || source->rescan_at > now + interval) {
    source->rescan_at = now + interval;
  }
}

void SourceWatcher::SubmitIfDue(Source* source, Instant now) {
  if (source->reading || now < source->read_not_before) return;
  std::optional<Debouncer::Due> due = source->debouncer.Next();
  if (!due.has_value()) return;
  if (now < due->when) {
    if (!std::exchange(source->settling_said, true)) {
      source->journal->Note(SourceEvent::kSettle,
                            absl::StrCat("waiting until nothing has changed for ",
                                         absl::FormatDuration(source->config.settle), ", at most ",
                                         absl::FormatDuration(source->config.max_delay)));
    }
    return;
  }
  if (source->tree_may_differ) {
    PlanForTree(source, now);
    source->plan_is_late = true;
    if (now >= source->plan_at) PlanAgain(source, now);
  }
  due = NextReading(*source);
  if (!due.has_value() || now < due->when) return;
  if (source->plan_at != Instant::Infinite()) source->plan_is_late = true;
  ReadRequest request;
  request.source = source->config.name;
  request.incarnation = source->incarnation;
  request.number = ++requests_;
  request.cause = due->cause;
  if (!source->may_hang) {
    request.route = std::move(source->fresh_route);
    if (!request.route.has_value()) request.route = source->plan->route();
  }
  request.commit = std::move(due->commit);
  request.polled_because = source->polled_because;
  request.may_hang = source->may_hang;
  request.touched = std::exchange(source->touched, {});
  request.reuse_nothing = std::exchange(source->reuse_nothing, false);
  request.activity = source->activity;
  source->debouncer.ReadingBegins();
  source->settling_said = false;
  source->reading = true;
  source->reading_since = now;
  lane_->Submit(std::move(request));
}

std::optional<Debouncer::Due> SourceWatcher::NextReading(const Source& source) {
  std::optional<Debouncer::Due> due = source.debouncer.Next();
  if (source.plan_at == Instant::Infinite() || !due.has_value()) return due;
  if (!source.route_holds) return std::nullopt;
  // A reading finds by itself what is in the tree: only its rest cannot be known without watches.
  // Whatever the plan costs, max_delay holds.
  return due->cause == ReadCause::kCommit ? due : source.debouncer.AtLatest();
}

Instant SourceWatcher::NextTurn(const Source& source) {
  const Instant next = std::min({source.plan_at, source.rescan_at, source.poll_at});
  const std::optional<Debouncer::Due> due = NextReading(source);
  if (source.reading || !due.has_value()) return next;
  return std::min(next, std::max(due->when, source.read_not_before));
}

}  // namespace confstream
