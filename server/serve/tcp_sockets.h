// The sockets that listen on a TCP address.

#ifndef CONFSTREAM_SERVER_SERVE_TCP_SOCKETS_H_
#define CONFSTREAM_SERVER_SERVE_TCP_SOCKETS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/base/unique_fd.h"

namespace confstream {

// Plain data.
struct TcpSockets {
  std::vector<UniqueFd> fds;  // non-blocking; for accept()
  int port = 0;               // that of all of them

  // Listens on HOST:PORT or [IPV6]:PORT, on each address of the host that this machine has; port 0
  // lets the kernel choose. 0.0.0.0 and [::] both mean all addresses, of IPv4 and IPv6. A
  // connection whose peer acknowledges nothing of what it is sent for `silence` ends.
  // FAILED_PRECONDITION says what of the address cannot be had, and why.
  static absl::StatusOr<TcpSockets> Listen(const std::string& address, absl::Duration silence);
};

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_SERVE_TCP_SOCKETS_H_
