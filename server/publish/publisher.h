// The data's way: read, validate, version, hand over.

#ifndef CONFSTREAM_SERVER_PUBLISH_PUBLISHER_H_
#define CONFSTREAM_SERVER_PUBLISH_PUBLISHER_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "server/base/clock.h"
#include "server/base/file_system.h"
#include "server/base/log.h"
#include "server/base/mutex.h"
#include "server/history/snapshot_store.h"
#include "server/publish/worker_pool.h"
#include "server/snapshot/read_request.h"
#include "server/snapshot/snapshot_reader.h"
#include "server/snapshot/source_config.h"
#include "server/snapshot/source_state.h"
#include "server/validate/validator.h"

namespace confstream {

// Serves reading requests on workers, one source at a time, and hands what became of them to the
// sinks. Thread-safe.
class Publisher final : public ReadLane {
 public:
  // `sinks` are told in order.
  Publisher(const Clock* clock, FileSystem* file_system, std::vector<SourceStateSink*> sinks,
            int workers, Logger* log);
  ~Publisher() override;

  // Where answers go. REQUIRES: called once, before the first request.
  void SetAnswerSink(ReadAnswerSink* answers) { answers_ = answers; }

  // Adds a source, or gives the source of that name other settings: its versions go on.
  void AddSource(const SourceConfig& config, uint64_t incarnation);
  void RemoveSource(const std::string& name);

  void Submit(ReadRequest request) override;

  // Waits for readings under way; from then on nothing is read.
  void Stop() { workers_.Stop(); }

  // True if every source has been read once, whatever the outcome; waits for it up to `timeout`.
  bool AwaitFirstReadings(absl::Duration timeout);

 private:
  struct Lane;

  void Serve(const std::shared_ptr<Lane>& lane, const ReadRequest& request);
  ReadOutcome Publish(Lane* lane, const ReadRequest& request);
  ReadOutcome Refuse(Lane* lane, const ReadRequest& request, std::vector<Violation> violations,
                     int64_t total);
  void HandOver(Lane* lane, const ReadRequest& request, std::vector<Violation> violations,
                int64_t total);
  void LogRefusal(const Lane& lane) const;

  const Clock* const clock_;
  FileSystem* const file_system_;
  const std::vector<SourceStateSink*> sinks_;
  Logger* const log_;
  ReadAnswerSink* answers_ = nullptr;

  Mutex mu_;
  CondVar first_reading_;
  std::map<std::string, std::shared_ptr<Lane>> lanes_ ABSL_GUARDED_BY(mu_);

  WorkerPool workers_;  // last: its threads use everything above
};

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_PUBLISH_PUBLISHER_H_
