#include "server/serve/grpc_server.h"

#include <gtest/gtest.h>

#include "tests/fakes/in_process_server.h"
#include "tests/fakes/temporary_directory.h"

namespace confstream {
namespace {

class GrpcServerTest : public testing::Test {
 protected:
  absl::StatusOr<std::unique_ptr<GrpcServer>> Start(std::vector<std::string> listen) {
    return GrpcServer::Start({std::move(listen), 100, 4}, {&service_}, &health_);
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
  ConfigService service_{&clock_, &hub_, absl::Seconds(30)};
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
  const auto second = GrpcServer::Start({{"127.0.0.1:0", taken}, 100, 4}, {&service_}, &health);
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

}  // namespace
}  // namespace confstream
