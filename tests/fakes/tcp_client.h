// The client's end of a TCP connection, for tests of what accepts it.

#ifndef CONFSTREAM_TESTS_FAKES_TCP_CLIENT_H_
#define CONFSTREAM_TESTS_FAKES_TCP_CLIENT_H_

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include "server/base/unique_fd.h"

namespace confstream {

// Blocking. Thread-compatible.
class TcpClient {
 public:
  // Has a descriptor from here on, and is not connected.
  explicit TcpClient(int family = AF_INET)
      : family_(family), fd_(socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0)) {}

  // To the loopback address of the family. False: errno says why not.
  bool Connect(int port) {
    const in_port_t wanted = htons(static_cast<in_port_t>(port));
    sockaddr_in v4{};
    v4.sin_family = AF_INET;
    v4.sin_port = wanted;
    v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    sockaddr_in6 v6{};
    v6.sin6_family = AF_INET6;
    v6.sin6_port = wanted;
    v6.sin6_addr = in6addr_loopback;
    return family_ == AF_INET6
               ? connect(fd_.get(), reinterpret_cast<const sockaddr*>(&v6), sizeof(v6)) == 0
               : connect(fd_.get(), reinterpret_cast<const sockaddr*>(&v4), sizeof(v4)) == 0;
  }

  // Waits until the server closes the connection, for half a minute at most.
  bool AwaitClosed() {
    char byte = 0;
    return AwaitReadable() && recv(fd_.get(), &byte, 1, 0) <= 0;
  }
  // Waits until the server says this byte, for half a minute at most.
  bool AwaitByte(char byte) {
    char got = 0;
    return AwaitReadable() && recv(fd_.get(), &got, 1, 0) == 1 && got == byte;
  }
  // The server has neither said anything nor closed the connection.
  bool IsWaiting() {
    pollfd polled{fd_.get(), POLLIN, 0};
    return poll(&polled, 1, 0) == 0;
  }

  // Ends the connection without a farewell (RST).
  void Abort() {
    const linger at_once{1, 0};
    setsockopt(fd_.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    fd_.Reset();
  }

 private:
  bool AwaitReadable() {
    pollfd polled{fd_.get(), POLLIN, 0};
    return poll(&polled, 1, 30 * 1000) == 1;
  }

  const int family_;
  UniqueFd fd_;
};

}  // namespace confstream

#endif  // CONFSTREAM_TESTS_FAKES_TCP_CLIENT_H_
