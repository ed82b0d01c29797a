// A Unix socket that a server listens on, and its name.

#ifndef CONFSTREAM_SERVER_SERVE_UNIX_SOCKET_H_
#define CONFSTREAM_SERVER_SERVE_UNIX_SOCKET_H_

#include <sys/types.h>

#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/base/unique_fd.h"

namespace confstream {

// The socket is made under a name of its own, and gets its path once it listens and it is known
// that nobody answers there: so the path of a server that was killed is taken over at once, and
// that of one that runs never is. The name is taken away at the end if it is still ours.
// Thread-compatible.
class UnixSocket {
 public:
  // Listens at `path`. FAILED_PRECONDITION: somebody answers there, or it is no socket, or none can
  // be made in its directory.
  static absl::StatusOr<UnixSocket> Listen(const std::string& path);
  ~UnixSocket();
  UnixSocket(UnixSocket&&) = default;
  UnixSocket(const UnixSocket&) = delete;
  UnixSocket& operator=(const UnixSocket&) = delete;

  // Non-blocking; for accept(). Ends with this.
  int fd() const { return socket_.get(); }

 private:
  UnixSocket(std::string path, UniqueFd directory);

  // OK: nothing is at the path, or a socket that nobody answers on.
  absl::Status CheckFree() const;
  // Makes the socket, and puts it in the place of what is at the path.
  absl::Status Make();

  std::string path_;
  std::string name_;  // the last component of path_
  UniqueFd directory_;
  UniqueFd socket_;
  std::optional<std::pair<dev_t, ino_t>> made_;  // what is ours at the path
};

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_SERVE_UNIX_SOCKET_H_
