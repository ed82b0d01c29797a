#include "server/serve/tcp_sockets.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "tests/fakes/tcp_client.h"

namespace confstream {
namespace {

using testing::HasSubstr;

absl::StatusOr<TcpSockets> Listen(const std::string& address) {
  return TcpSockets::Listen(address, absl::Seconds(20));
}

std::string WhyNot(const std::string& address) {
  const auto sockets = Listen(address);
  EXPECT_EQ(sockets.status().code(), absl::StatusCode::kFailedPrecondition) << address;
  return std::string(sockets.status().message());
}

bool HasIpv6Loopback() { return Listen("[::1]:0").ok(); }

// The connection that comes by one of the sockets.
UniqueFd Accept(const TcpSockets& sockets) {
  std::vector<pollfd> polled;
  for (const UniqueFd& fd : sockets.fds) polled.push_back({fd.get(), POLLIN, 0});
  EXPECT_EQ(poll(polled.data(), polled.size(), 30 * 1000), 1);
  for (const pollfd& each : polled) {
    if (each.revents != 0) return UniqueFd(accept4(each.fd, nullptr, nullptr, SOCK_CLOEXEC));
  }
  return UniqueFd();
}

int Option(int fd, int level, int option) {
  int value = -1;
  socklen_t size = sizeof(value);
  EXPECT_EQ(getsockopt(fd, level, option, &value, &size), 0);
  return value;
}

TEST(TcpSocketsTest, PortIsChosenAndConnectionsComeByIt) {
  const auto sockets = Listen("127.0.0.1:0");
  ASSERT_TRUE(sockets.ok()) << sockets.status();
  ASSERT_GT(sockets->port, 0);
  TcpClient client;
  ASSERT_TRUE(client.Connect(sockets->port));
  EXPECT_TRUE(Accept(*sockets).valid());
}

TEST(TcpSocketsTest, ConnectionsInheritWhatGrpcSetsForThose) {
  const auto sockets = Listen("127.0.0.1:0");
  ASSERT_TRUE(sockets.ok()) << sockets.status();
  TcpClient client;
  ASSERT_TRUE(client.Connect(sockets->port));
  const UniqueFd connection = Accept(*sockets);
  EXPECT_EQ(Option(connection.get(), IPPROTO_TCP, TCP_NODELAY), 1);
  EXPECT_EQ(Option(connection.get(), IPPROTO_TCP, TCP_USER_TIMEOUT), 20000);
}

TEST(TcpSocketsTest, SocketsDoNotBlockAndAreNotInherited) {
  const auto sockets = Listen("127.0.0.1:0");
  ASSERT_TRUE(sockets.ok()) << sockets.status();
  EXPECT_NE(fcntl(sockets->fds[0].get(), F_GETFL) & O_NONBLOCK, 0);
  EXPECT_NE(fcntl(sockets->fds[0].get(), F_GETFD) & FD_CLOEXEC, 0);
}

TEST(TcpSocketsTest, EveryAddressOfAHostHasTheSamePort) {
  const auto sockets = Listen("localhost:0");
  ASSERT_TRUE(sockets.ok()) << sockets.status();
  for (const UniqueFd& fd : sockets->fds) {
    sockaddr_in6 address{};  // the port of IPv4 is in the same place
    socklen_t size = sizeof(address);
    ASSERT_EQ(getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
    EXPECT_EQ(ntohs(address.sin6_port), sockets->port);
  }
}

TEST(TcpSocketsTest, WildcardOfEitherFamilyMeansBoth) {
  if (!HasIpv6Loopback()) GTEST_SKIP() << "this machine has no IPv6";
  for (const char* address : {"0.0.0.0:0", "[::]:0"}) {
    const auto sockets = Listen(address);
    ASSERT_TRUE(sockets.ok()) << sockets.status();
    for (const int family : {AF_INET, AF_INET6}) {
      TcpClient client(family);
      EXPECT_TRUE(client.Connect(sockets->port)) << address << " by family " << family;
      EXPECT_TRUE(Accept(*sockets).valid());
    }
  }
}

TEST(TcpSocketsTest, Ipv6LoopbackIsNotIpv4s) {
  if (!HasIpv6Loopback()) GTEST_SKIP() << "this machine has no IPv6";
  const auto sockets = Listen("[::1]:0");
  ASSERT_TRUE(sockets.ok()) << sockets.status();
  TcpClient v6(AF_INET6);
  EXPECT_TRUE(v6.Connect(sockets->port));
  TcpClient v4(AF_INET);
  EXPECT_FALSE(v4.Connect(sockets->port));
}

TEST(TcpSocketsTest, AddressInUseIsSaidSoAndNotShared) {
  const auto first = Listen("127.0.0.1:0");
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_EQ(WhyNot(absl::StrCat("127.0.0.1:", first->port)), "Address already in use");
  EXPECT_EQ(WhyNot(absl::StrCat("0.0.0.0:", first->port)), "Address already in use");
}

TEST(TcpSocketsTest, PortOfAServerThatEndedIsHadAtOnceThoughItsConnectionsLinger) {
  auto first = Listen("127.0.0.1:0");
  ASSERT_TRUE(first.ok()) << first.status();
  TcpClient client;
  ASSERT_TRUE(client.Connect(first->port));
  Accept(*first);  // closed here first, so that this end waits (TIME_WAIT)
  ASSERT_TRUE(client.AwaitClosed());
  first->fds.clear();
  EXPECT_TRUE(Listen(absl::StrCat("127.0.0.1:", first->port)).ok());
}

TEST(TcpSocketsTest, AddressOfAnotherMachineIsSaidSo) {
  EXPECT_EQ(WhyNot("192.0.2.1:0"), "it is not of this machine: Cannot assign requested address");
}

TEST(TcpSocketsTest, HostThatIsNotKnownIsNamed) {
  EXPECT_THAT(WhyNot("nobody.invalid:0"), HasSubstr("the addresses of nobody.invalid are not"));
}

TEST(TcpSocketsTest, PortThatIsNotPermittedIsSaidSo) {
  if (geteuid() == 0) GTEST_SKIP() << "root may have any; ./dev test runs this as nobody";
  EXPECT_EQ(WhyNot("127.0.0.1:1"), "Permission denied");
}

}  // namespace
}  // namespace confstream
