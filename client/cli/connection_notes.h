// What a command that follows a source says of its connection, on the console's error stream.

#ifndef CONFSTREAM_CLIENT_CLI_CONNECTION_NOTES_H_
#define CONFSTREAM_CLIENT_CLI_CONNECTION_NOTES_H_

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "client/cli/console.h"

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
};

}  // namespace confstream

#endif  // CONFSTREAM_CLIENT_CLI_CONNECTION_NOTES_H_
