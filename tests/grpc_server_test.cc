#include "server/serve/grpc_server.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <iterator>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/base/unique_fd.h"
#include "tests/fakes/files.h"
#include "tests/fakes/in_process_server.h"
#include "tests/fakes/snapshots.h"
#include "tests/fakes/temporary_directory.h"

namespace confstream {
namespace {

class GrpcServerTest : public testing::Test {
 protected:
  absl::StatusOr<std::unique_ptr<GrpcServer>> Start(std::vector<std::string> listen) {
    return GrpcServer::Start({std::move(listen), "--listen", 100, 4}, data_, nullptr, &health_);
  }
  static grpc::Status ListSources(const std::string& address) {
    const auto stub = v1::ConfigService::NewStub(
        grpc::CreateChannel(address, grpc::InsecureChannelCredentials()));
    grpc::ClientContext context;
    v1::ListSourcesResponse response;
    return stub->ListSources(&context, {}, &response);
  }

  const SystemClock clock_{};
  WatchHub hub_{&clock_, {100, 100, 1 << 20}};
  HealthReporter health_;
  const ConfigReloads reloads_{absl::UnixEpoch()};
  const DataPlane data_{&clock_, &hub_, &reloads_, absl::Seconds(30)};
};

TEST_F(GrpcServerTest, ServesOnEveryAddressAndTellsThePortsThatWereChosen) {
  TemporaryDirectory directory;
  const std::string socket = "unix:" + directory.Path("socket");
  const auto server = Start({"127.0.0.1:0", socket, "127.0.0.2:0"});
  ASSERT_TRUE(server.ok()) << server.status();
  const std::vector<std::string>& addresses = (*server)->addresses();
  ASSERT_EQ(addresses.size(), 3u);
  EXPECT_EQ(addresses[0].rfind("127.0.0.1:", 0), 0u);
  EXPECT_NE(addresses[0], "127.0.0.1:0");
  EXPECT_EQ(addresses[1], socket);
  for (const std::string& address : addresses) EXPECT_TRUE(ListSources(address).ok()) << address;
  health_.Drain();
}

TEST_F(GrpcServerTest, AddressInUseIsNamed) {
  const auto first = Start({"127.0.0.1:0"});
  ASSERT_TRUE(first.ok());
  const std::string taken = (*first)->addresses()[0];
  HealthReporter health;
  const auto second = GrpcServer::Start({{"127.0.0.1:0", taken}, "--admin-listen", 100, 4}, data_,
                                        nullptr, &health);
  EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_NE(second.status().message().find(taken), absl::string_view::npos) << second.status();
  health_.Drain();
}

TEST_F(GrpcServerTest, ListensNoLongerOnceItIsShutDown) {
  const auto server = Start({"127.0.0.1:0"});
  ASSERT_TRUE(server.ok());
  const std::string address = (*server)->addresses()[0];
  EXPECT_TRUE(ListSources(address).ok());
  health_.Drain();
  (*server)->Shutdown(absl::ZeroDuration());
  EXPECT_EQ(ListSources(address).error_code(), grpc::StatusCode::UNAVAILABLE);
}

// What an answer needs must be there until it is made, whoever has left meanwhile.
TEST_F(GrpcServerTest, EndsWhileAnswersAreBeingMade) {
  Files files;
  for (int i = 0; i < 1000; ++i) files[absl::StrCat(std::string(200, 'a'), i)] = "x";
  hub_.Update(ServingState(MakeSnapshot(1, files, "app")));
  auto server = Start({"127.0.0.1:0"});
  ASSERT_TRUE(server.ok()) << server.status();
  const auto stub = v1::ConfigService::NewStub(
      grpc::CreateChannel((*server)->addresses()[0], grpc::InsecureChannelCredentials()));
  v1::GetSnapshotRequest slow;
  slow.set_source("app");
  for (int i = 0; i < 64; ++i) slow.add_path_globs(absl::StrCat("a*a*a*a*a*a*a*b", i));
  std::vector<std::thread> callers;
  for (int i = 0; i < 4; ++i) {
    callers.emplace_back([&] {
      grpc::ClientContext context;
      v1::GetSnapshotResponse response;
      EXPECT_FALSE(stub->GetSnapshot(&context, slow, &response).ok());
    });
  }
  // Two are answered, two wait for their turn.
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  health_.Drain();
  server->reset();
  for (std::thread& caller : callers) caller.join();
}

TEST_F(GrpcServerTest, FlagThatGaveTheAddressIsNamed) {
  const auto server = GrpcServer::Start({{"unix:/nowhere/socket"}, "--admin-listen", 100, 4}, data_,
                                        nullptr, &health_);
  EXPECT_EQ(server.status().code(), absl::StatusCode::kFailedPrecondition);
  const std::string message(server.status().message());
  EXPECT_EQ(message,
            "cannot listen on unix:/nowhere/socket: its directory /nowhere/ cannot be opened: No "
            "such file or directory; choose another with --admin-listen");
}

// Unix sockets.

class UnixSocketTest : public GrpcServerTest {
 protected:
  // A server of its own, as one in another process would be.
  absl::StatusOr<std::unique_ptr<GrpcServer>> StartAnother() {
    return GrpcServer::Start({{address_}, "--listen", 100, 4}, data_, nullptr, &other_health_);
  }
  // As a server leaves it that is killed.
  void LeaveSocket() const {
    const UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path_.copy(address.sun_path, sizeof(address.sun_path) - 1);
    ASSERT_EQ(bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
    ASSERT_TRUE(std::filesystem::is_socket(path_));
  }
  size_t FilesThere() const {
    const std::filesystem::directory_iterator all(directory_.Path("."));
    return static_cast<size_t>(std::distance(begin(all), end(all)));
  }

  TemporaryDirectory directory_;
  const std::string path_ = directory_.Path("socket");
  const std::string address_ = "unix:" + path_;
  HealthReporter other_health_;
};

TEST_F(UnixSocketTest, IsNotTakenFromAServerThatAnswers) {
  const auto first = Start({address_});
  ASSERT_TRUE(first.ok()) << first.status();
  const auto second = StartAnother();
  EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_NE(second.status().message().find(
                path_ + ": another server answers there: stop that one; choose another with"),
            absl::string_view::npos)
      << second.status();
  EXPECT_TRUE(ListSources(address_).ok()) << "the first serves on";
  health_.Drain();
}

TEST_F(UnixSocketTest, ThatNobodyAnswersOnIsReplaced) {
  LeaveSocket();
  const auto server = Start({address_});
  ASSERT_TRUE(server.ok()) << server.status();
  EXPECT_TRUE(ListSources(address_).ok());
  EXPECT_EQ(FilesThere(), 1u);
  health_.Drain();
}

TEST_F(UnixSocketTest, IsGoneOnceTheServerIsShutDown) {
  const auto server = Start({address_});
  ASSERT_TRUE(server.ok()) << server.status();
  health_.Drain();
  (*server)->Shutdown(absl::ZeroDuration());
  EXPECT_EQ(FilesThere(), 0u);
}

TEST_F(UnixSocketTest, OfASuccessorStaysWhenTheServerEnds) {
  const auto first = Start({address_});
  ASSERT_TRUE(first.ok()) << first.status();
  std::filesystem::remove(path_);
  const auto second = StartAnother();
  ASSERT_TRUE(second.ok()) << second.status();
  health_.Drain();
  (*first)->Shutdown(absl::ZeroDuration());
  EXPECT_TRUE(ListSources(address_).ok());
  other_health_.Drain();
}

TEST_F(UnixSocketTest, FileThatIsNoSocketIsLeftAlone) {
  WriteFile(path_, "precious");
  const auto server = Start({address_});
  EXPECT_EQ(server.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_NE(server.status().message().find("is no socket"), absl::string_view::npos);
  EXPECT_EQ(std::filesystem::file_size(path_), 8u);
}

TEST_F(UnixSocketTest, DirectoryThatAnotherProgramHasLockedIsNamed) {
  const UniqueFd locked(open(directory_.Path(".").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  ASSERT_EQ(flock(locked.get(), LOCK_EX), 0);
  const auto server = Start({address_});
  EXPECT_NE(server.status().message().find("cannot be locked"), absl::string_view::npos)
      << server.status();
}

TEST_F(UnixSocketTest, DirectoryThatMayNotBeWrittenIsNamed) {
  if (geteuid() == 0) GTEST_SKIP() << "root may write everywhere; ./dev test runs this as nobody";
  std::filesystem::create_directory(directory_.Path("closed"));
  std::filesystem::permissions(directory_.Path("closed"), std::filesystem::perms(0500));
  const auto server = Start({"unix:" + directory_.Path("closed/socket")});
  EXPECT_NE(server.status().message().find("closed/ cannot be written: Permission denied"),
            absl::string_view::npos)
      << server.status();
}

}  // namespace
}  // namespace confstream
