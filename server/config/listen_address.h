// An address to listen on.

#ifndef CONFSTREAM_SERVER_CONFIG_LISTEN_ADDRESS_H_
#define CONFSTREAM_SERVER_CONFIG_LISTEN_ADDRESS_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace confstream {

// Plain data.
struct ListenAddress {
  std::string text;       // as gRPC takes it: HOST:PORT, [IPV6]:PORT or unix:ABSOLUTE_PATH
  bool local = false;     // nobody beyond this machine can connect: loopback, or a Unix socket
  bool any_port = false;  // port 0: the kernel chooses

  // Reads HOST:PORT, [IPV6]:PORT or unix:PATH; a relative PATH is taken from `directory`. Names are
  // not resolved: of them only `localhost` counts as local. INVALID_ARGUMENT as in setting_text.h.
  static absl::StatusOr<ListenAddress> Parse(absl::string_view text, absl::string_view directory);
};

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_CONFIG_LISTEN_ADDRESS_H_
