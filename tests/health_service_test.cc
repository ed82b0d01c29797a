// gRPC's health service, over a real connection.

#include "server/serve/health_service.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "absl/time/clock.h"
#include "server/base/error_reason.h"
#include "tests/fakes/in_process_server.h"

namespace confstream {
namespace {

using grpc::health::v1::Health;
using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;

HealthCheckRequest Request(const std::string& service) {
  HealthCheckRequest request;
  request.set_service(service);
  return request;
}

class HealthServiceTest : public testing::Test {
 protected:
  // A stream of the health of `service`, read by the thread that asks.
  class Watch {
   public:
    Watch(Health::Stub* stub, const std::string& service) {
      context_.set_deadline(absl::ToChronoTime(absl::Now() + absl::Seconds(60)));
      reader_ = stub->Watch(&context_, Request(service));
    }
    ~Watch() {
      context_.TryCancel();
      HealthCheckResponse response;
      while (reader_->Read(&response)) {
      }
    }

    HealthCheckResponse::ServingStatus Read() {
      HealthCheckResponse response;
      EXPECT_TRUE(reader_->Read(&response)) << "the stream has ended";
      return response.status();
    }
    grpc::Status End() {
      HealthCheckResponse response;
      EXPECT_FALSE(reader_->Read(&response)) << response.ShortDebugString();
      return reader_->Finish();
    }

   private:
    grpc::ClientContext context_;
    std::unique_ptr<grpc::ClientReader<HealthCheckResponse>> reader_;
  };

  grpc::Status Check(const std::string& service, HealthCheckResponse* response) {
    grpc::ClientContext context;
    return stub_->Check(&context, Request(service), response);
  }
  void Waits(const std::string& source) { server_.health().Update(WaitingState(source)); }
  void Holds(const std::string& source) {
    server_.health().Update(ServingState(MakeSnapshot(1, {{"a", "1"}}, source)));
  }

  InProcessServer server_;
  const std::unique_ptr<Health::Stub> stub_ = Health::NewStub(server_.Connect());
};

TEST_F(HealthServiceTest, CheckTellsTheHealthOfEachService) {
  Waits("app");
  HealthCheckResponse response;
  ASSERT_TRUE(Check("", &response).ok());
  EXPECT_EQ(response.status(), HealthCheckResponse::SERVING);
  ASSERT_TRUE(Check("source/app", &response).ok());
  EXPECT_EQ(response.status(), HealthCheckResponse::NOT_SERVING);
  Holds("app");
  for (const char* service : {"source/app", "confstream.v1.ConfigService"}) {
    ASSERT_TRUE(Check(service, &response).ok());
    EXPECT_EQ(response.status(), HealthCheckResponse::SERVING) << service;
  }
}

TEST_F(HealthServiceTest, CheckOfAnUnknownServiceIsNotFound) {
  HealthCheckResponse response;
  const grpc::Status status = Check("source/\x01", &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_NE(status.error_message().find("source/\\x01"), std::string::npos)
      << status.error_message();
}

TEST_F(HealthServiceTest, WatchTellsTheStatusAtOnceAndWhenItChanges) {
  Waits("app");
  Watch watch(stub_.get(), "source/app");
  EXPECT_EQ(watch.Read(), HealthCheckResponse::NOT_SERVING);
  Holds("other");  // is nothing to this one
  Holds("app");
  EXPECT_EQ(watch.Read(), HealthCheckResponse::SERVING);
  server_.health().RemoveSource("app");
  EXPECT_EQ(watch.Read(), HealthCheckResponse::NOT_SERVING);
}

TEST_F(HealthServiceTest, WatchWaitsForAServiceThatIsNotKnownYet) {
  Watch watch(stub_.get(), "source/late");
  EXPECT_EQ(watch.Read(), HealthCheckResponse::SERVICE_UNKNOWN);
  Holds("late");
  EXPECT_EQ(watch.Read(), HealthCheckResponse::SERVING);
}

TEST_F(HealthServiceTest, WatchesAreToldThatNothingServesAndEndWhenTheServerDrains) {
  Watch watch(stub_.get(), "");
  EXPECT_EQ(watch.Read(), HealthCheckResponse::SERVING);
  server_.health().Drain();
  EXPECT_EQ(watch.Read(), HealthCheckResponse::NOT_SERVING);
  const grpc::Status ended = watch.End();
  EXPECT_EQ(ended.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(DetailsOf(ended).reason, kDraining);
}

TEST_F(HealthServiceTest, WatchThatIsCancelledDoesNotKeepTheServer) {
  for (int i = 0; i < 100; ++i) {
    Watch watch(stub_.get(), "");
    EXPECT_EQ(watch.Read(), HealthCheckResponse::SERVING);
  }
  server_.health().Drain();
  EXPECT_TRUE(server_.server().Shutdown(absl::Seconds(30)));
}

}  // namespace
}  // namespace confstream
