// What is behind a Watch of client.h: the threads, and what they know.

#ifndef CONFSTREAM_CLIENT_CPP_WATCH_RUNNER_H_
#define CONFSTREAM_CLIENT_CPP_WATCH_RUNNER_H_

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "client/cpp/client.h"
#include "client/cpp/connection.h"
#include "client/cpp/disk_copy.h"
#include "client/cpp/outcome_reporter.h"
#include "client/cpp/received_snapshot.h"
#include "client/cpp/source_watch.h"
#include "server/base/mutex.h"

namespace confstream {

// Two threads. The follower reads the streams (SourceWatch::Run) and puts what is complete where
// Current finds it; the worker calls on_change, keeps the copy on disk and reports outcomes, so
// that none of them holds up the stream. Between them is one change, the newest. Thread-safe.
class WatchRunner final : private WatchObserver {
 public:
  // `connection` is null if there is none, which `error` says then. Throws std::system_error if the
  // threads cannot be started. The threads share the ownership of the runner: it outlives a Watch
  // that is destroyed on one of them.
  static std::shared_ptr<WatchRunner> Start(std::shared_ptr<Connection> connection, Status error,
                                            WatchOptions options);
  ~WatchRunner() override;

  // As the methods of Watch.
  Waited Wait(std::chrono::milliseconds timeout);
  std::shared_ptr<const Snapshot> Current();
  bool stale();
  Status status();
  Status Report(const Snapshot& snapshot, Outcome outcome, std::string_view reason);
  void Close();

 private:
  // A version as it was received and as programs see it; both null: none.
  struct Version {
    std::shared_ptr<const ReceivedSnapshot> received;
    std::shared_ptr<const Snapshot> snapshot;

    bool HasContentOf(const Version& other) const {
      return snapshot != nullptr && other.snapshot != nullptr &&
             snapshot->view_digest == other.snapshot->view_digest;
    }
  };

  WatchRunner(std::shared_ptr<Connection> connection, Status error, WatchOptions options);
  static Version ToVersion(std::shared_ptr<const ReceivedSnapshot> received);
  void ReadCache();

  // The follower.
  void Follow();
  void OnConnected(const std::string& watch_id) override;
  void OnSnapshot(const std::shared_ptr<const ReceivedSnapshot>& received) override;
  void OnPosition(const std::shared_ptr<const ReceivedSnapshot>& held) override;
  void OnStatus(const v1::ResponseHeader& header, const v1::SourceStatus& status) override;
  void OnInSync() override;
  void OnStale(absl::Duration silence) override;
  void OnStartedOver(const absl::Status& why) override;
  void OnDisconnected(const absl::Status& why, absl::Duration retry_in) override;
  void Settle();

  // The worker.
  void Work();
  void Deliver(Version version, bool from_cache);
  Status CallOnChange(const Change& change) const;
  void ReportDelivered();
  void LogReport(const absl::Status& told);

  void Log(const Event& event);

  std::shared_ptr<Connection> connection_;  // null once closed; not used by then
  const WatchOptions options_;
  Status invalid_;                             // why there is nothing to follow; ok if there is
  std::unique_ptr<DiskCopy> disk_;             // null: none is kept
  std::unique_ptr<OutcomeReporter> reporter_;  // null if invalid_
  std::unique_ptr<SourceWatch> watch_;         // null if invalid_

  // The worker's.
  Version cached_;     // to be delivered first
  Version delivered_;  // what on_change was given last
  Status outcome_;     // what it said of it

  Mutex mu_;
  CondVar changed_;
  Version held_ ABSL_GUARDED_BY(mu_);
  v1::ResponseHeader content_header_ ABSL_GUARDED_BY(mu_);  // under which held_ was announced
  Version pending_ ABSL_GUARDED_BY(mu_);                    // the change that waits for the worker
  bool heard_ ABSL_GUARDED_BY(mu_) = false;  // a message came since the worker looked
  bool settled_ ABSL_GUARDED_BY(mu_) = false;
  bool stale_ ABSL_GUARDED_BY(mu_) = false;
  bool over_ ABSL_GUARDED_BY(mu_) = false;  // the follower is done
  bool closed_ ABSL_GUARDED_BY(mu_) = false;
  Status end_ ABSL_GUARDED_BY(mu_);             // with what the watch ended by itself
  std::string waits_for_ ABSL_GUARDED_BY(mu_);  // why nothing has come yet

  Mutex log_mu_;  // held while the log is told

  Mutex join_mu_;
  std::thread follower_ ABSL_GUARDED_BY(join_mu_);
  std::thread worker_ ABSL_GUARDED_BY(join_mu_);
};

}  // namespace confstream

#endif  // CONFSTREAM_CLIENT_CPP_WATCH_RUNNER_H_
