// Tells the server what became of the versions that a watch delivered (ReportOutcome).

#ifndef CONFSTREAM_CLIENT_CPP_OUTCOME_REPORTER_H_
#define CONFSTREAM_CLIENT_CPP_OUTCOME_REPORTER_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "client/cpp/connection.h"
#include "confstream/v1/config_service.pb.h"
#include "server/base/mutex.h"

namespace grpc {
class ClientContext;
}

namespace confstream {

// The server's bound on a reason.
inline constexpr size_t kMostReasonBytes = 1024;

// `text` as a reason can be: at most kMostReasonBytes, of which the end is left out; bytes that are
// not valid UTF-8 are shown as `?`.
std::string ReasonText(absl::string_view text);

// Follows a watch, and keeps what the server knows of it true: a report belongs to a stream and is
// forgotten with it, so after a reconnection the outcome of what is still held is told again; and
// so it is when the version moves on without other content. Thread-safe: the watch tells it what
// arrived, anybody what became of it.
class OutcomeReporter {
 public:
  // How long one report may take. What could not be told is told with the next heartbeat.
  static constexpr absl::Duration kTimeout = absl::Seconds(5);

  // `connection` outlives the reporter.
  explicit OutcomeReporter(Connection* connection) : connection_(connection) {}

  // For the observer of the watch.
  void OnConnected(const std::string& watch_id);
  void OnSnapshot(const v1::ResponseHeader& header);
  // MoveTo and Retry in one, if what was received last is the newest content.
  void OnHeartbeat(const v1::ResponseHeader& header, bool in_sync);

  // The content received last is that of `header`, too. Calls nobody.
  void MoveTo(const v1::ResponseHeader& header);
  // Tells the outcome of what was received last, if the server does not know it yet of this stream.
  // Errors: those of the call.
  absl::Status Retry();

  // What became of the content that OnSnapshot announced with `header`. Unless newer content has
  // been announced since, the outcome is remembered; and told later, which is no error, if this
  // stream has not delivered the content yet. `reason` goes through ReasonText. Errors: those of
  // the call, with DEADLINE_EXCEEDED after kTimeout. Waits for a call that is under way.
  absl::Status Report(const v1::ResponseHeader& header, v1::Outcome outcome,
                      absl::string_view reason);

  // Ends the call that is under way, and lets no other begin: they fail with CANCELLED. The
  // connection is not used any more when this returns.
  void Stop();

 private:
  // A version on a stream.
  struct Place {
    std::string watch_id;
    std::string epoch;
    int64_t version = 0;  // 0: the stream has not said yet which it stands for

    bool known() const { return !watch_id.empty() && version != 0; }

    friend bool operator==(const Place& a, const Place& b) {
      return a.watch_id == b.watch_id && a.epoch == b.epoch && a.version == b.version;
    }
  };
  struct Decision {
    v1::Outcome outcome;
    std::string reason;
  };

  absl::Status Send(const Place& place, const Decision& decision)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(sending_mu_);

  Connection* const connection_;
  // Held while a call is under way: one at a time, so that the newest decision is told last.
  Mutex sending_mu_ ABSL_ACQUIRED_BEFORE(mu_);
  Mutex mu_;
  v1::ResponseHeader received_ ABSL_GUARDED_BY(mu_);       // of the content received last
  Place place_ ABSL_GUARDED_BY(mu_);                       // where that content is now
  std::optional<Decision> decision_ ABSL_GUARDED_BY(mu_);  // on it
  std::optional<Place> reported_ ABSL_GUARDED_BY(mu_);     // where the server knows of decision_
  bool stopped_ ABSL_GUARDED_BY(mu_) = false;
  grpc::ClientContext* call_ ABSL_GUARDED_BY(mu_) = nullptr;  // under way; null: none is
};

}  // namespace confstream

#endif  // CONFSTREAM_CLIENT_CPP_OUTCOME_REPORTER_H_
