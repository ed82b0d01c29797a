// Watches every source and decides when each is to be read. The file system's events come in,
// requests to read go out.

#ifndef CONFSTREAM_SERVER_WATCH_SOURCE_WATCHER_H_
#define CONFSTREAM_SERVER_WATCH_SOURCE_WATCHER_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "server/base/clock.h"
#include "server/base/file_system.h"
#include "server/base/log.h"
#include "server/base/mount_guard.h"
#include "server/base/mutex.h"
#include "server/base/unique_fd.h"
#include "server/snapshot/read_request.h"
#include "server/snapshot/source_config.h"
#include "server/snapshot/source_journal.h"
#include "server/watch/debouncer.h"
#include "server/watch/event_source.h"
#include "server/watch/watch_plan.h"

namespace confstream {

// Why sources were looked at again without an event that concerns them. Counted since the start.
struct RescanCounts {
  std::atomic<int64_t> overflow{0};     // the kernel dropped events
  std::atomic<int64_t> watch_ended{0};  // a watch died while its directory is still wanted
  std::atomic<int64_t> watch_refused{
      0};  // the kernel refused a watch: its limit, or no read permission
  std::atomic<int64_t> periodic{0};
  std::atomic<int64_t> requested{0};  // SIGHUP, or an operator
  std::atomic<int64_t> mounts{0};     // something was mounted or unmounted on the way
  std::atomic<int64_t> polled{0};     // looked at because the kernel does not tell of changes
};

// One thread runs Run(), or calls Step(); it alone touches plans and debouncers, without locks. The
// other methods are thread-safe and return at once, but for QuietSince.
class SourceWatcher final : public ReadAnswerSink {
 public:
  // All outlive the watcher.
  SourceWatcher(const Clock* clock, FileSystem* file_system, EventSource* events, ReadLane* lane,
                SourceJournals* journals, Logger* log);
  ~SourceWatcher() override;

  // Adds a source, or gives the source of that name other settings. `incarnation` comes back in
  // every request.
  void AddSource(SourceConfig config, uint64_t incarnation);
  void RemoveSource(std::string name);
  // Looks at every source again.
  void RescanAll();
  // Looks again at the sources for which other mounts count than before, now or within a second.
  // Run() calls it by itself.
  void MountsChanged();

  void Answer(ReadAnswer answer) override;
  bool QuietSince(const ReadRequest& request) override;
  void AskForReading(const std::string& source) override;

  // Turns until Stop().
  void Run();
  void Stop();

  // One turn: takes all events, commands and answers, then decides. Returns when the next turn is
  // due at the latest.
  Instant Step(Instant now);

  const RescanCounts& rescans() const { return rescans_; }

 private:
  struct Source;
  struct Probe;
  // What another thread wants done on the watch thread, at the time of the turn.
  using Command = std::function<void(Instant now)>;

  void Post(Command command);
  void Wake();

  void TakeEvents(Instant now);
  void TakeEvent(Source* source, const WatchEvent& event, Instant now);
  void TakeCommands(Instant now);
  void Add(SourceConfig config, uint64_t incarnation, Instant now);
  void TakeAnswer(const ReadAnswer& answer, Instant now);
  void AnswerProbes(const std::vector<Probe*>& probes);
  void Rescan(Source* source);
  void LookPeriodically(Source* source);
  // Sees to it that the plan is made again, now or when its costs allow.
  void PlanForTree(Source* source, Instant now);
  void PlanAgain(Source* source, Instant now);
  void LookForLostEvents(Instant now);
  void LookAtMounts(Instant now);
  void NoteWatching(Source* source, const WatchPlan::Armed& armed, Instant now);
  void Poll(Source* source);
  void CountLook(Source* source);
  void SubmitIfDue(Source* source, Instant now);
  // What the debouncer says, unless the plan has to be made first.
  static std::optional<Debouncer::Due> NextReading(const Source& source);
  static Instant NextTurn(const Source& source);

  const Clock* const clock_;
  FileSystem* const file_system_;
  EventSource* const events_;
  ReadLane* const lane_;
  SourceJournals* const journals_;
  Logger* const log_;
  const UniqueFd mountinfo_;  // poll(2) tells when mounts have changed; invalid: nobody does
  const UniqueFd wake_;       // an eventfd: commands or probes wait, or Stop() was called
  RescanCounts rescans_;

  // The watch thread's own.
  std::map<std::string, std::unique_ptr<Source>> sources_;
  uint64_t added_ = 0;
  uint64_t requests_ = 0;
  bool events_lost_ = false;
  Instant events_lost_not_before_;
  MountGuard guard_;
  MountTable mounts_;
  bool mounts_changed_ = true;
  Instant
      mounts_not_before_;  // mounts come in crowds where pods start: they are looked at together

  Mutex mu_;
  CondVar probe_answered_;
  std::vector<Command> commands_ ABSL_GUARDED_BY(mu_);
  std::vector<Probe*> probes_ ABSL_GUARDED_BY(mu_);
  bool stopped_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_WATCH_SOURCE_WATCHER_H_
