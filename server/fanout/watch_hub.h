// Joins sources to streams: knows the newest state of every source, and every view that somebody
// watches.

#ifndef CONFSTREAM_SERVER_FANOUT_WATCH_HUB_H_
#define CONFSTREAM_SERVER_FANOUT_WATCH_HUB_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "confstream/v1/admin_service.pb.h"
#include "server/base/clock.h"
#include "server/base/log.h"
#include "server/base/mutex.h"
#include "server/fanout/message_cache.h"
#include "server/fanout/view_topic.h"
#include "server/fanout/watch_session.h"
#include "server/fanout/watcher_list.h"
#include "server/snapshot/source_state.h"

namespace confstream {

struct FanoutLimits {
  int64_t max_streams = 0;
  int64_t max_views_per_source = 0;
  int64_t max_encoded_bytes = 0;
};

// Update() swaps pointers and returns; streams are woken on their lanes, without any lock of the
// hub held. Thread-safe.
class WatchHub final : public SourceStateSink {
 public:
  // Rejections that clients report go to `log`, which may be null.
  WatchHub(const Clock* clock, const FanoutLimits& limits, Logger* log = nullptr);

  // A source is known from its first state on.
  void Update(std::shared_ptr<const SourceState> state) override;
  // Ends the streams of the source with NOT_FOUND. REQUIRES: no state of it is under way.
  void RemoveSource(const std::string& name);

  // Opens a stream: registers `subscriber` for news of the view, and from then on none is missed.
  // NOT_FOUND, RESOURCE_EXHAUSTED, UNAVAILABLE: as ConfigService.Watch documents.
  absl::StatusOr<std::unique_ptr<WatchSession>> Open(WatchSpec spec,
                                                     const std::shared_ptr<Subscriber>& subscriber);
  // REQUIRES: the session was opened for `subscriber`, and not closed yet.
  void Close(const WatchSession& session, const Subscriber* subscriber);

  // Ends every stream with `status`, and refuses new ones with it.
  void EndAll(const absl::Status& status);
  // Returns when no stream is open, or after `most`.
  void AwaitAllClosed(absl::Duration most);

  // The newest state of a source. NOT_FOUND: no such source.
  absl::StatusOr<std::shared_ptr<const SourceState>> Find(const std::string& name) const;
  // Names of all sources, in byte order.
  std::vector<std::string> SourceNames() const;

  int64_t streams() const;

  // The open streams of `source`, or of all sources if it is empty, that come after `after`, a
  // source and a watch_id, in that order; at most `max_count`. NOT_FOUND: no such source. May take
  // as long as comparing retained versions takes.
  absl::StatusOr<std::vector<v1::Watcher>> ListWatchers(
      const std::string& source, const std::pair<std::string, std::string>& after,
      size_t max_count) const;

  // Takes what a client says became of a version that the stream `watch_id` was sent. NOT_FOUND,
  // INVALID_ARGUMENT: as ConfigService.ReportOutcome documents.
  absl::Status ReportOutcome(const std::string& watch_id, int64_t version, v1::Outcome outcome,
                             absl::string_view reason);

 private:
  struct Source {
    Mutex mu;
    bool removed ABSL_GUARDED_BY(mu) = false;
    std::shared_ptr<const SourceState> state ABSL_GUARDED_BY(mu);                  // never null
    std::shared_ptr<const EncodedStatus> status ABSL_GUARDED_BY(mu);               // of `state`
    std::map<std::string, std::shared_ptr<ViewTopic>> topics ABSL_GUARDED_BY(mu);  // by View::key
  };

  std::shared_ptr<Source> FindSource(const std::string& name) const;
  std::shared_ptr<Source> FindOrAdd(const std::shared_ptr<const SourceState>& state);
  absl::Status NotFound(const std::string& name) const;
  absl::StatusOr<std::shared_ptr<ViewTopic>> Subscribe(
      const WatchSpec& spec, const std::shared_ptr<Subscriber>& subscriber);
  // The state of `view`, carried on from `before`, which may be null.
  static ViewState StateOf(const SourceState& state, std::shared_ptr<const EncodedStatus> status,
                           const View& view, const ViewSnapshot* before);
  void LogRejection(const Watcher& watcher, int64_t version, absl::string_view reason);

  const Clock* const clock_;
  const FanoutLimits limits_;
  Logger* const log_;
  MessageCache cache_;
  WatcherList watchers_;

  // Lock order: mu_, then Source::mu, then the topic's own.
  mutable Mutex mu_;
  std::map<std::string, std::shared_ptr<Source>> sources_ ABSL_GUARDED_BY(mu_);
  int64_t streams_ ABSL_GUARDED_BY(mu_) = 0;
  CondVar none_open_;  // streams_ became 0
  std::optional<absl::Status> ended_ ABSL_GUARDED_BY(mu_);
};

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_FANOUT_WATCH_HUB_H_
