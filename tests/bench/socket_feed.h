// Publishes to the bare servers: one packet on a Unix socket is one payload.

#ifndef CONFSTREAM_TESTS_BENCH_SOCKET_FEED_H_
#define CONFSTREAM_TESTS_BENCH_SOCKET_FEED_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "server/base/unique_fd.h"
#include "tests/bench/feed.h"

namespace confstream {

class SocketFeed final : public Feed {
 public:
  // UNAVAILABLE: nobody listens at `path`.
  static absl::StatusOr<std::unique_ptr<SocketFeed>> Connect(const std::string& path);

  absl::StatusOr<int64_t> Publish(const std::string& payload) override;

 private:
  explicit SocketFeed(UniqueFd socket) : socket_(std::move(socket)) {}

  const UniqueFd socket_;
};

// The other end, for the one who is published to. Thread-compatible.
class SocketFeedReader {
 public:
  // Makes the socket `path`. UNAVAILABLE: it cannot be made.
  static absl::StatusOr<std::unique_ptr<SocketFeedReader>> Listen(const std::string& path);

  // Waits for the next payload; empty: the publisher has gone. The first call waits for the
  // publisher, too.
  std::string Receive();

 private:
  explicit SocketFeedReader(UniqueFd listener) : listener_(std::move(listener)) {}

  const UniqueFd listener_;
  UniqueFd socket_;
};

}  // namespace confstream

#endif  // CONFSTREAM_TESTS_BENCH_SOCKET_FEED_H_
