// The whole gRPC server on a port of its own, fed by the test. For tests that link gRPC.

#ifndef CONFSTREAM_TESTS_FAKES_IN_PROCESS_SERVER_H_
#define CONFSTREAM_TESTS_FAKES_IN_PROCESS_SERVER_H_

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "absl/time/clock.h"
#include "confstream/internal/grpc_protocols.pb.h"
#include "confstream/v1/config_service.grpc.pb.h"
#include "server/serve/config_service.h"
#include "server/serve/grpc_server.h"
#include "tests/fakes/snapshots.h"

namespace confstream {

// Serves from construction to destruction. Thread-compatible.
class InProcessServer {
 public:
  explicit InProcessServer(absl::Duration stall_timeout = absl::Seconds(30)) {
    hub_.Update(WaitingState());
    auto server = GrpcServer::Start({{"127.0.0.1:0"}, "--listen", 10000, 4},
                                    {&clock_, &hub_, &reloads_, stall_timeout}, nullptr, &health_);
    EXPECT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    stub_ = v1::ConfigService::NewStub(Connect());
  }
  ~InProcessServer() {
    health_.Drain();
    hub_.EndAll(absl::UnavailableError("the test is over"));
    server_->Shutdown(absl::Seconds(5));
  }

  // A connection that is shared with nobody.
  std::shared_ptr<grpc::Channel> Connect() const {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    return grpc::CreateCustomChannel(server_->addresses()[0], grpc::InsecureChannelCredentials(),
                                     arguments);
  }

  void Publish(int64_t version, const Files& files, const std::string& source = "app") {
    hub_.Update(ServingState(MakeSnapshot(version, files, source)));
  }

  WatchHub& hub() { return hub_; }
  HealthReporter& health() { return health_; }
  ConfigReloads& reloads() { return reloads_; }
  GrpcServer& server() { return *server_; }
  v1::ConfigService::Stub& stub() { return *stub_; }

 private:
  const SystemClock clock_;
  WatchHub hub_{&clock_, {10000, 1000, int64_t{64} << 20}};
  HealthReporter health_;
  ConfigReloads reloads_{absl::UnixEpoch()};
  std::unique_ptr<GrpcServer> server_;
  std::unique_ptr<v1::ConfigService::Stub> stub_;
};

// Looks again and again, for half a minute at most.
inline bool Await(const std::function<bool()>& condition) {
  const absl::Time deadline = absl::Now() + absl::Seconds(30);
  while (!condition()) {
    if (absl::Now() > deadline) return false;
    absl::SleepFor(absl::Milliseconds(2));
  }
  return true;
}

// The details that a client finds in the trailer `grpc-status-details-bin`.
struct ErrorDetails {
  std::string reason;
  std::string domain;
  std::optional<absl::Duration> retry_delay;
};

inline ErrorDetails DetailsOf(const grpc::Status& status) {
  ErrorDetails details;
  internal::RpcStatus message;
  EXPECT_TRUE(message.ParseFromString(status.error_details()));
  if (message.details_size() > 0) {
    EXPECT_EQ(message.code(), static_cast<int>(status.error_code()));
    EXPECT_EQ(message.message(), status.error_message());
  }
  for (const google::protobuf::Any& any : message.details()) {
    internal::ErrorInfo error;
    internal::RetryInfo retry;
    if (any.type_url() == "type.googleapis.com/google.rpc.ErrorInfo") {
      EXPECT_TRUE(error.ParseFromString(any.value()));
      details.reason = error.reason();
      details.domain = error.domain();
    } else if (any.type_url() == "type.googleapis.com/google.rpc.RetryInfo") {
      EXPECT_TRUE(retry.ParseFromString(any.value()));
      details.retry_delay = absl::Seconds(retry.retry_delay().seconds()) +
                            absl::Nanoseconds(retry.retry_delay().nanos());
    } else {
      ADD_FAILURE() << "a detail of an unknown type: " << any.type_url();
    }
  }
  return details;
}

}  // namespace confstream

#endif  // CONFSTREAM_TESTS_FAKES_IN_PROCESS_SERVER_H_
