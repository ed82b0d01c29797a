// What a command that follows a source says of its connection, and of a source that has no content,
// on the console's error stream.

#ifndef CONFSTREAM_CLIENT_CLI_CONNECTION_NOTES_H_
#define CONFSTREAM_CLIENT_CLI_CONNECTION_NOTES_H_

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "client/cli/console.h"
#include "confstream/v1/config_service.pb.h"

namespace confstream {

// Called as the methods of WatchObserver are. The same failure is said once, not at every attempt.
// Thread-compatible.
class ConnectionNotes {
 public:
  // `server` is its address. `console` outlives the notes.
  ConnectionNotes(std::string server, const Console& console)
      : server_(std::move(server)), console_(console) {}

  void OnConnected();
  // `what` may be out of date: "what was printed last".
  void OnStale(absl::Duration silence, absl::string_view what);
  void OnDisconnected(const absl::Status& why);
  // Remembers what SayNothingYet and SayTimeOver explain.
  void OnStatus(const v1::ResponseHeader& header, const v1::SourceStatus& status);

  // If the source has no content yet, says why, and that it is waited for; the same once.
  void SayNothingYet();
  // The time limit is over, as `status` has it, and why nothing has come if nothing has.
  void SayTimeOver(const absl::Status& status) const;

  // The server was heard at least once.
  bool connected_ever() const { return connected_ever_; }
  // It was lost, and has not answered since.
  bool disconnected() const { return disconnected_; }

 private:
  const std::string server_;
  const Console& console_;
  bool connected_ever_ = false;
  bool disconnected_ = false;
  std::string last_error_;
  std::string nothing_yet_;  // why there is no content; empty: there is, or nobody said
  std::string said_;         // the nothing_yet_ that was said last
};

}  // namespace confstream

#endif  // CONFSTREAM_CLIENT_CLI_CONNECTION_NOTES_H_
