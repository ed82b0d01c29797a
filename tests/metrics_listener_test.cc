#include "server/serve/metrics_listener.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "server/base/unique_fd.h"

namespace confstream {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

// One gauge, with a value that needs all digits of a double and a label that needs escaping.
class OneGauge final : public prometheus::Collectable {
 public:
  std::vector<prometheus::MetricFamily> Collect() const override {
    prometheus::ClientMetric metric;
    metric.label = {{"source", "a\"b"}};
    metric.gauge.value = 9007199254740991;
    prometheus::MetricFamily family;
    family.name = "some_version";
    family.help = "A version.";
    family.type = prometheus::MetricType::Gauge;
    family.metric = {metric};
    return {family};
  }
};

absl::StatusOr<std::unique_ptr<MetricsListener>> Start(const std::vector<std::string>& listen) {
  return MetricsListener::Start(listen, std::make_shared<OneGauge>());
}

// A connection to HOST:PORT; invalid if nobody listens there.
UniqueFd Connect(const std::string& address) {
  const size_t colon = address.rfind(':');
  uint32_t port = 0;
  EXPECT_TRUE(absl::SimpleAtoi(address.substr(colon + 1), &port)) << address;
  sockaddr_in peer{};
  peer.sin_family = AF_INET;
  peer.sin_port = htons(static_cast<uint16_t>(port));
  EXPECT_EQ(inet_pton(AF_INET, address.substr(0, colon).c_str(), &peer.sin_addr), 1) << address;
  UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&peer), sizeof(peer)) != 0) return {};
  return fd;
}

// All that the server answers to `request_line`, until it closes the connection.
std::string Ask(const std::string& address, const std::string& request_line) {
  const UniqueFd fd = Connect(address);
  EXPECT_TRUE(fd.valid()) << address;
  const std::string request = absl::StrCat(request_line, " HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(send(fd.get(), request.data(), request.size(), MSG_NOSIGNAL),
            static_cast<ssize_t>(request.size()));
  std::string answer;
  char buffer[4096];
  for (ssize_t got = 0; (got = read(fd.get(), buffer, sizeof(buffer))) > 0;) {
    answer.append(buffer, static_cast<size_t>(got));
  }
  return answer;
}

TEST(MetricsListenerTest, MetricsAreReadOverHttpAtEveryAddress) {
  const auto listener = Start({"127.0.0.1:0", "127.0.0.2:0"});
  ASSERT_TRUE(listener.ok()) << listener.status();
  ASSERT_EQ((*listener)->addresses().size(), 2u);
  for (const std::string& address : (*listener)->addresses()) {
    EXPECT_THAT(Ask(address, "GET /metrics"),
                AllOf(StartsWith("HTTP/1.1 200 OK\r\n"), HasSubstr("Content-Type: text/plain"),
                      HasSubstr("\n# HELP some_version A version.\n# TYPE some_version gauge\n"
                                "some_version{source=\"a\\\"b\"} 9007199254740991\n")));
  }
}

TEST(MetricsListenerTest, NothingElseIsThereAndNothingCanBeWritten) {
  const auto listener = Start({"127.0.0.1:0"});
  ASSERT_TRUE(listener.ok()) << listener.status();
  const std::string address = (*listener)->addresses()[0];
  for (const char* request :
       {"GET /", "GET /etc/passwd", "GET /../../etc/passwd", "POST /metrics"}) {
    EXPECT_THAT(Ask(address, request), StartsWith("HTTP/1.1 404 ")) << request;
  }
  for (const char* request : {"PUT /metrics", "DELETE /metrics"}) {
    EXPECT_THAT(Ask(address, request), StartsWith("HTTP/1.1 405 ")) << request;
  }
}

TEST(MetricsListenerTest, WithoutAnAddressNothingListens) {
  const auto listener = Start({});
  ASSERT_TRUE(listener.ok()) << listener.status();
  EXPECT_TRUE((*listener)->addresses().empty());
}

TEST(MetricsListenerTest, AddressThatCannotBeHadIsNamedWithTheFlag) {
  const auto first = Start({"127.0.0.1:0"});
  ASSERT_TRUE(first.ok()) << first.status();
  const std::string taken = (*first)->addresses()[0];
  for (const std::string& address : {taken, std::string("192.0.2.1:0")}) {
    const auto second = Start({"127.0.0.1:0", address});
    EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_EQ(second.status().message(),
              absl::StrCat("cannot serve metrics on ", address,
                           ": the address is in use, or not of this machine, or not permitted; "
                           "choose another with --metrics-listen"));
  }
  EXPECT_THAT(Ask(taken, "GET /metrics"), StartsWith("HTTP/1.1 200 OK\r\n"));
}

TEST(MetricsListenerTest, NobodyListensOnceItIsDestroyedWhoeverIsConnected) {
  auto listener = Start({"127.0.0.1:0"});
  ASSERT_TRUE(listener.ok()) << listener.status();
  const std::string address = (*listener)->addresses()[0];
  std::array<UniqueFd, 5> silent;
  for (UniqueFd& fd : silent) fd = Connect(address);
  listener->reset();
  EXPECT_FALSE(Connect(address).valid());
}

}  // namespace
}  // namespace confstream
