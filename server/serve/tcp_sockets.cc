#include "server/serve/tcp_sockets.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "absl/strings/str_cat.h"

namespace confstream {
namespace {

using Addresses = std::unique_ptr<addrinfo, decltype(&freeaddrinfo)>;

// What errno says of an address, in words where its own are none to act on.
std::string Why(int error) {
  const char* const text = std::strerror(error);
  return error == EADDRNOTAVAIL ? absl::StrCat("it is not of this machine: ", text) : text;
}

absl::StatusOr<Addresses> Resolve(const std::string& host, const std::string& port) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV;
  addrinfo* first = nullptr;
  const int failed = getaddrinfo(host.c_str(), port.c_str(), &hints, &first);
  Addresses addresses(first, &freeaddrinfo);
  if (failed == 0) return addresses;
  return absl::FailedPreconditionError(absl::StrCat(
      "the addresses of ", host,
      " are not known: ", failed == EAI_SYSTEM ? std::strerror(errno) : gai_strerror(failed)));
}

bool SetOption(int fd, int level, int option, int value) {
  return setsockopt(fd, level, option, &value, sizeof(value)) == 0;
}

// Whether one socket can be had for both families.
bool HasIpv6() { return UniqueFd(socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0)).valid(); }

// A socket that listens, or none, and errno says why. What is set for it, its connections inherit.
UniqueFd ListenOn(const addrinfo& address, absl::Duration silence) {
  UniqueFd fd(socket(address.ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const bool listens =
      fd.valid() &&
      (address.ai_family != AF_INET6 || SetOption(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, 0)) &&
      // No SO_REUSEPORT: a second server on the same port would get every other connection.
      SetOption(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1) &&
      SetOption(fd.get(), IPPROTO_TCP, TCP_NODELAY, 1) &&
      SetOption(fd.get(), IPPROTO_TCP, TCP_USER_TIMEOUT,
                static_cast<int>(absl::ToInt64Milliseconds(silence))) &&
      bind(fd.get(), address.ai_addr, address.ai_addrlen) == 0 && listen(fd.get(), SOMAXCONN) == 0;
  if (listens) return fd;
  const int error = errno;
  fd.Reset();
  errno = error;
  return fd;
}

// Of an address of either family. `address` is as long as its family's are.
in_port_t* PortOf(sockaddr* address) {
  return address->sa_family == AF_INET6 ? &reinterpret_cast<sockaddr_in6*>(address)->sin6_port
                                        : &reinterpret_cast<sockaddr_in*>(address)->sin_port;
}

// That the kernel gave the socket; 0 if it cannot be had.
in_port_t PortOf(int fd) {
  sockaddr_storage storage{};
  socklen_t size = sizeof(storage);
  auto* const address = reinterpret_cast<sockaddr*>(&storage);
  return getsockname(fd, address, &size) == 0 ? *PortOf(address) : in_port_t{0};
}

// A resolver may name an address twice.
bool ComesAgain(const addrinfo& address) {
  for (const addrinfo* other = address.ai_next; other != nullptr; other = other->ai_next) {
    if (other->ai_addrlen == address.ai_addrlen &&
        std::memcmp(other->ai_addr, address.ai_addr, address.ai_addrlen) == 0) {
      return true;
    }
  }
  return false;
}

}  // namespace

absl::StatusOr<TcpSockets> TcpSockets::Listen(const std::string& address, absl::Duration silence) {
  const size_t colon = address.rfind(':');
  std::string host = address.substr(0, colon);
  if (host.front() == '[') host = host.substr(1, host.size() - 2);
  if (host == "0.0.0.0" || host == "::") host = HasIpv6() ? "::" : "0.0.0.0";
  const auto addresses = Resolve(host, address.substr(colon + 1));
  if (!addresses.ok()) return addresses.status();

  TcpSockets sockets;
  in_port_t port = 0;
  int error = 0;
  for (addrinfo* each = addresses->get(); each != nullptr; each = each->ai_next) {
    if (ComesAgain(*each)) continue;
    if (port != 0) *PortOf(each->ai_addr) = port;
    UniqueFd fd = ListenOn(*each, silence);
    if (fd.valid()) {
      port = PortOf(fd.get());
      sockets.fds.push_back(std::move(fd));
      continue;
    }
    error = errno;
    // A machine without IPv6 still resolves names to such addresses. Any other failure means that
    // clients of the name would reach another program, or none.
    if (error != EADDRNOTAVAIL && error != EAFNOSUPPORT) {
      return absl::FailedPreconditionError(Why(error));
    }
  }
  if (sockets.fds.empty()) return absl::FailedPreconditionError(Why(error));
  sockets.port = ntohs(port);
  return sockets;
}

}  // namespace confstream
