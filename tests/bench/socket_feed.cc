#include "tests/bench/socket_feed.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "tests/bench/payload.h"

namespace confstream {
namespace {

constexpr int kMaxPayloadBytes = 2 << 20;

sockaddr_un AddressOf(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  return address;
}

absl::Status Failed(const std::string& path) {
  return absl::UnavailableError(absl::StrCat("feed socket ", path, ": ", std::strerror(errno)));
}

}  // namespace

absl::StatusOr<std::unique_ptr<SocketFeed>> SocketFeed::Connect(const std::string& path) {
  UniqueFd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  const sockaddr_un address = AddressOf(path);
  if (connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      setsockopt(socket.get(), SOL_SOCKET, SO_SNDBUF, &kMaxPayloadBytes, sizeof kMaxPayloadBytes) !=
          0) {
    return Failed(path);
  }
  return std::unique_ptr<SocketFeed>(new SocketFeed(std::move(socket)));
}

absl::StatusOr<int64_t> SocketFeed::Publish(const std::string& payload) {
  const int64_t began = MonotonicNanoseconds();
  if (send(socket_.get(), payload.data(), payload.size(), MSG_NOSIGNAL) < 0) {
    return Failed("of the server");
  }
  return began;
}

absl::StatusOr<std::unique_ptr<SocketFeedReader>> SocketFeedReader::Listen(
    const std::string& path) {
  UniqueFd listener(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  const sockaddr_un address = AddressOf(path);
  if (bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      listen(listener.get(), 1) != 0) {
    return Failed(path);
  }
  return std::unique_ptr<SocketFeedReader>(new SocketFeedReader(std::move(listener)));
}

std::string SocketFeedReader::Receive() {
  if (!socket_.valid()) socket_.Reset(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  // The length first, so that no more memory is taken than the payload has.
  const ssize_t length = recv(socket_.get(), nullptr, 0, MSG_PEEK | MSG_TRUNC);
  if (length <= 0) return std::string();
  std::string payload(static_cast<size_t>(length), '\0');
  payload.resize(static_cast<size_t>(
      std::max<ssize_t>(0, recv(socket_.get(), payload.data(), payload.size(), 0))));
  return payload;
}

}  // namespace confstream
