// Takes requests to read, and what operators ask for, to the lanes of the sources.

#ifndef CONFSTREAM_SERVER_PUBLISH_PUBLISHER_H_
#define CONFSTREAM_SERVER_PUBLISH_PUBLISHER_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/base/mutex.h"
#include "server/base/worker_pool.h"
#include "server/history/history.h"
#include "server/publish/source_lane.h"
#include "server/snapshot/read_request.h"
#include "server/snapshot/source_config.h"
#include "server/snapshot/source_control.h"
#include "server/snapshot/source_state.h"

namespace confstream {

// Serves reading requests on workers, one at a time for each source. SourceLane::Publish is the
// data's way in one function. Thread-safe.
class Publisher final : public ReadLane, public SourceControl, public HistoryObserver {
 public:
  // `history` and what the context names outlive the publisher, which observes the history until
  // Stop().
  Publisher(LaneContext context, History* history, int workers);
  ~Publisher() override;

  // Where answers go. REQUIRES: called once, before the first request.
  void SetAnswerSink(ReadAnswerSink* answers) { answers_ = answers; }

  // Adds a source, or gives the source of that name other settings: its versions go on. The sinks
  // are told at once what was restored, or that there is nothing.
  void AddSource(const SourceConfig& config, std::shared_ptr<const SchemaSet> schemas,
                 uint64_t incarnation);
  void RemoveSource(const std::string& name);

  void Submit(ReadRequest request) override;

  // Calls that wait for a reading return UNAVAILABLE at once, from now on.
  void EndWaits();
  // Waits for readings under way; from then on nothing is read. False: a reading of a source that
  // may hang was still under way after `patience`; its thread goes on to use what the publisher was
  // given, so that the process must end without destroying any of it.
  bool Stop(absl::Duration patience = absl::InfiniteDuration());

  // True if every source has been read once, whatever the outcome; waits for it up to `timeout`.
  bool AwaitFirstReadings(absl::Duration timeout);

  absl::StatusOr<ControlResult> Rollback(const RollbackOrder& order) override;
  absl::StatusOr<ControlResult> Unpin(const std::string& source) override;
  absl::StatusOr<std::shared_ptr<const SourceState>> Reload(const std::string& source,
                                                            absl::Duration timeout) override;
  absl::StatusOr<SourceConfig> Config(const std::string& source) override;
  absl::StatusOr<DryRunResult> DryRun(const std::string& source, Generation files) override;
  absl::StatusOr<std::vector<SourceEvent>> Events(const std::string& source) override;

  void HistoryChanged(const std::string& source) override;

 private:
  // A lane, and the readings that it was asked for.
  struct Entry {
    std::shared_ptr<SourceLane> lane;
    int64_t begun = 0;
    int64_t done = 0;  // the last one begun that came to an end: neither moved nor unsettled
  };

  absl::StatusOr<std::shared_ptr<SourceLane>> Find(const std::string& source);
  void Serve(const std::shared_ptr<SourceLane>& lane, const ReadRequest& request);
  // Serves it on a thread of its own, for which nobody waits but Stop(), and says that the source
  // has stalled if that takes too long.
  void ServeApart(const std::shared_ptr<SourceLane>& lane, const ReadRequest& request);
  void TendSchemas(const std::weak_ptr<SourceLane>& lane);
  void AwaitPinExpiry(const std::shared_ptr<SourceLane>& lane);

  const LaneContext context_;
  History* const history_;
  ReadAnswerSink* answers_ = nullptr;

  Mutex mu_;
  CondVar reading_done_;
  std::map<std::string, Entry> sources_ ABSL_GUARDED_BY(mu_);
  bool waits_ended_ ABSL_GUARDED_BY(mu_) = false;
  bool stopped_ ABSL_GUARDED_BY(mu_) = false;
  int apart_ ABSL_GUARDED_BY(mu_) = 0;  // threads that read sources which may hang
  CondVar apart_done_;

  WorkerPool workers_;
  // Pins that expire, schemas that change, readings that take too long: never held up by a reading.
  WorkerPool tending_;  // last: the threads of both use everything above
};

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_PUBLISH_PUBLISHER_H_
