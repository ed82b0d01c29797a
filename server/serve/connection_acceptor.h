// Accepts connections, and hands them on.

#ifndef CONFSTREAM_SERVER_SERVE_CONNECTION_ACCEPTOR_H_
#define CONFSTREAM_SERVER_SERVE_CONNECTION_ACCEPTOR_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/base/clock.h"
#include "server/base/log.h"
#include "server/base/unique_fd.h"

namespace confstream {

// Accepts on a thread of its own, from Start() to Stop(). It stands in for gRPC 1.51's
// listener, which accepts no more for ever once accept() failed for want of descriptors
// (CVE-2023-4785).
//
// A quarter of the descriptors that the process may have is kept for reading sources and for
// history: a connection that would begin on it is closed at once, so that a flood of them neither
// stops what is served nor leaves its client waiting. Thread-compatible.
class ConnectionAcceptor {
 public:
  // Gets each connection, non-blocking and close-on-exec, and the socket that it came by; called on
  // the acceptor's thread, which accepts no other meanwhile.
  using Taker = std::function<void(UniqueFd connection, int listener)>;

  // `listeners` are sockets that listen and do not block. They and `log`, which may be null, must
  // outlive Stop(). FAILED_PRECONDITION: there is no descriptor to be had for its own use.
  static absl::StatusOr<std::unique_ptr<ConnectionAcceptor>> Start(std::vector<int> listeners,
                                                                   Taker take, const Clock* clock,
                                                                   Logger* log);
  ~ConnectionAcceptor();
  ConnectionAcceptor(const ConnectionAcceptor&) = delete;
  ConnectionAcceptor& operator=(const ConnectionAcceptor&) = delete;

  // Nothing is accepted any more once it returns. May be called again.
  void Stop();

 private:
  ConnectionAcceptor(std::vector<int> listeners, Taker take, const Clock* clock, Logger* log);

  void Run();
  // False: no descriptor can be had, and the connection still waits.
  bool Accept(int listener);
  bool SendAway(int listener);
  // Tells of refused connections, at most once a minute.
  void Refused(absl::string_view why);

  const std::vector<int> listeners_;
  const Taker take_;
  const Clock* const clock_;
  Logger* const log_;
  const UniqueFd stop_;

  // Of the thread.
  UniqueFd spare_;  // given up to accept a connection for which there is no other, and to close it
  int64_t refused_ = 0;  // that the log does not tell of yet
  Instant tell_from_;    // the log is silent until then

  std::thread thread_;
};

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_SERVE_CONNECTION_ACCEPTOR_H_
