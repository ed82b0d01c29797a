// The path of a Unix socket that a server listens on.

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

// gRPC removes whatever socket there is at the path that it binds, when it begins and when it ends,
// even if another server listens there. So it is given a path of its own, and the socket gets its
// name once it is known that nobody answers to it; the name is taken away at the end if it is still
// ours. Thread-compatible.
class UnixSocket {
 public:
  // FAILED_PRECONDITION: somebody answers at `path`, or it is no socket, or its directory cannot be
  // opened.
  static absl::StatusOr<UnixSocket> Prepare(const std::string& path);
  ~UnixSocket();
  UnixSocket(UnixSocket&&) = default;
  UnixSocket(const UnixSocket&) = delete;
  UnixSocket& operator=(const UnixSocket&) = delete;

  // Where the server is to bind. It leads through a descriptor, so it is short whatever `path` is.
  std::string path_to_bind() const;

  // Gives the socket that was bound there its name, in place of one that a server left which was
  // killed. Errors as Prepare(): somebody may have come meanwhile.
  absl::Status Show();

 private:
  UnixSocket(std::string path, UniqueFd directory);

  // OK: nothing is at the path, or a socket that nobody answers on.
  absl::Status CheckFree() const;

  std::string path_;
  std::string name_;   // the last component of path_
  std::string bound_;  // the name that the socket is bound under
  UniqueFd directory_;
  std::optional<std::pair<dev_t, ino_t>> shown_;  // what is ours at the path
};

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_SERVE_UNIX_SOCKET_H_
