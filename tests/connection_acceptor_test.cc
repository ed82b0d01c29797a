#include "server/serve/connection_acceptor.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_split.h"
#include "server/base/mutex.h"
#include "server/serve/tcp_sockets.h"
#include "server/serve/unix_socket.h"
#include "tests/fakes/fake_clock.h"
#include "tests/fakes/in_process_server.h"
#include "tests/fakes/log_text.h"
#include "tests/fakes/tcp_client.h"
#include "tests/fakes/temporary_directory.h"

namespace confstream {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// Keeps connections, and greets each with a byte.
class Host {
 public:
  static constexpr char kGreeting = '!';

  void Take(UniqueFd connection, int listener) {
    MutexLock lock(&mu_);
    send(connection.get(), &kGreeting, 1, MSG_NOSIGNAL);
    by_.push_back(listener);
    connections_.push_back(std::move(connection));
  }
  // The listeners that connections came by, in order.
  std::vector<int> by() const {
    MutexLock lock(&mu_);
    return by_;
  }
  int newest() const {
    MutexLock lock(&mu_);
    return connections_.back().get();
  }
  void CloseAll() {
    MutexLock lock(&mu_);
    connections_.clear();
  }

 private:
  mutable Mutex mu_;
  std::vector<int> by_ ABSL_GUARDED_BY(mu_);
  std::vector<UniqueFd> connections_ ABSL_GUARDED_BY(mu_);
};

class ConnectionAcceptorTest : public testing::Test {
 protected:
  ConnectionAcceptorTest() {
    auto sockets = TcpSockets::Listen("127.0.0.1:0", absl::Seconds(20));
    EXPECT_TRUE(sockets.ok()) << sockets.status();
    sockets_ = *std::move(sockets);
    getrlimit(RLIMIT_NOFILE, &limit_);
  }
  ~ConnectionAcceptorTest() override {
    Allow(limit_.rlim_cur);
    if (acceptor_ != nullptr) acceptor_->Stop();
  }

  void Start(std::vector<int> further = {}) {
    further.insert(further.begin(), sockets_.fds[0].get());
    auto acceptor = ConnectionAcceptor::Start(
        std::move(further),
        [this](UniqueFd connection, int listener) { host_.Take(std::move(connection), listener); },
        &clock_, &log_);
    ASSERT_TRUE(acceptor.ok()) << acceptor.status();
    acceptor_ = *std::move(acceptor);
  }

  // Lets the process have as many descriptors.
  void Allow(rlim_t most) const {
    rlimit limit = limit_;
    limit.rlim_cur = most;
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
  }
  // Opens files until the next one would get this number, or there are none.
  void OpenUntil(int next) {
    while (true) {
      UniqueFd fd(fcntl(sockets_.fds[0].get(), F_DUPFD_CLOEXEC, 0));
      if (!fd.valid() || fd.get() >= next) return;
      opened_.push_back(std::move(fd));
    }
  }

  bool IsServed() const {
    TcpClient client;
    return client.Connect(sockets_.port) && client.AwaitByte(Host::kGreeting);
  }
  bool IsTurnedAway() const {
    TcpClient client;
    return client.Connect(sockets_.port) && client.AwaitClosed();
  }

  std::vector<std::string> Lines() const {
    return absl::StrSplit(log_text_->str(), '\n', absl::SkipEmpty());
  }

  TcpSockets sockets_;
  rlimit limit_{};
  Host host_;
  FakeClock clock_;
  const std::shared_ptr<LogText> log_text_ = std::make_shared<LogText>();
  Logger log_{LogFormat::kJson, LogLevel::kInfo, log_text_};
  std::vector<UniqueFd> opened_;
  std::unique_ptr<ConnectionAcceptor> acceptor_;
};

TEST_F(ConnectionAcceptorTest, ConnectionsOfEverySocketAreHandedOnWithTheirSocket) {
  const TemporaryDirectory directory;
  const auto socket = UnixSocket::Listen(directory.Path("socket"));
  ASSERT_TRUE(socket.ok()) << socket.status();
  Start({socket->fd()});
  EXPECT_TRUE(IsServed());
  const UniqueFd local(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  directory.Path("socket").copy(address.sun_path, sizeof(address.sun_path) - 1);
  ASSERT_EQ(connect(local.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  EXPECT_TRUE(Await([this] { return host_.by().size() == 2; }));
  EXPECT_THAT(host_.by(), ElementsAre(sockets_.fds[0].get(), socket->fd()));
}

TEST_F(ConnectionAcceptorTest, ConnectionsDoNotBlockAndAreNotInherited) {
  Start();
  ASSERT_TRUE(IsServed());
  EXPECT_NE(fcntl(host_.newest(), F_GETFL) & O_NONBLOCK, 0);
  EXPECT_NE(fcntl(host_.newest(), F_GETFD) & FD_CLOEXEC, 0);
}

TEST_F(ConnectionAcceptorTest, ConnectionWaitsThatComesAfterStop) {
  Start();
  ASSERT_TRUE(IsServed());
  acceptor_->Stop();
  TcpClient client;
  ASSERT_TRUE(client.Connect(sockets_.port));
  EXPECT_TRUE(client.IsWaiting());
  EXPECT_EQ(host_.by().size(), 1u);
}

TEST_F(ConnectionAcceptorTest, ClientThatIsGoneIsNotHandedOn) {
  TcpClient gone;
  ASSERT_TRUE(gone.Connect(sockets_.port));
  gone.Abort();
  Start();
  EXPECT_TRUE(IsServed());
  EXPECT_EQ(host_.by().size(), 1u);
}

TEST_F(ConnectionAcceptorTest, QuarterOfTheDescriptorsIsKeptFromConnections) {
  Allow(256);
  Start();
  OpenUntil(190);  // the client's is 190, its connection 191
  EXPECT_TRUE(IsServed());
  host_.CloseAll();
  OpenUntil(191);  // 191 and 192
  EXPECT_TRUE(IsTurnedAway());
  opened_.clear();
  EXPECT_TRUE(IsServed());
}

TEST_F(ConnectionAcceptorTest, RefusalsAreToldOfOnceAMinuteWithTheirNumberAndARemedy) {
  Allow(256);
  Start();
  OpenUntil(200);
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(IsTurnedAway());
  EXPECT_TRUE(Await([this] { return !Lines().empty(); }));
  clock_.Advance(absl::Minutes(1));
  ASSERT_TRUE(IsTurnedAway());
  EXPECT_TRUE(Await([this] { return Lines().size() == 2; }));
  EXPECT_THAT(Lines(), ElementsAre(AllOf(HasSubstr("connections are refused"),
                                         HasSubstr("LimitNOFILE="), HasSubstr("\"refused\":1}")),
                                   HasSubstr("\"refused\":5}")));
}

TEST_F(ConnectionAcceptorTest, ClientForWhomThereIsNoDescriptorIsTurnedAwayAtOnce) {
  Allow(256);
  Start();
  ASSERT_TRUE(IsServed());
  TcpClient client;
  OpenUntil(256);
  ASSERT_TRUE(client.Connect(sockets_.port));
  EXPECT_TRUE(client.AwaitClosed());
  EXPECT_TRUE(Await([this] { return !Lines().empty(); }));
  opened_.clear();
  EXPECT_TRUE(IsServed());
  EXPECT_THAT(Lines(), ElementsAre(HasSubstr("Too many open files")));
}

TEST_F(ConnectionAcceptorTest, ClientIsServedOnceThereIsADescriptorAgain) {
  Start();
  ASSERT_TRUE(IsServed());
  TcpClient client;
  Allow(3);  // standard input, output and error; fewer, and poll() fails, too
  ASSERT_TRUE(client.Connect(sockets_.port));
  ASSERT_TRUE(Await([this] { return !Lines().empty(); })) << "accept() has failed";
  EXPECT_TRUE(client.IsWaiting());
  Allow(limit_.rlim_cur);
  EXPECT_TRUE(client.AwaitByte(Host::kGreeting));
}

TEST_F(ConnectionAcceptorTest, WithoutADescriptorOfItsOwnItDoesNotStart) {
  Start();
  Allow(3);
  const auto acceptor = ConnectionAcceptor::Start(
      {}, [](const UniqueFd&, int) {}, &clock_, &log_);
  Allow(limit_.rlim_cur);
  EXPECT_EQ(acceptor.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(acceptor.status().message()), HasSubstr("LimitNOFILE="));
}

TEST_F(ConnectionAcceptorTest, NothingIsSaidWhileNothingIsRefused) {
  Start();
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(IsServed());
  acceptor_->Stop();
  EXPECT_THAT(Lines(), IsEmpty());
}

}  // namespace
}  // namespace confstream
