// SourceWatch against a server that plays scripts, over real connections.

#include "client/cpp/source_watch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <thread>

#include "absl/strings/str_cat.h"
#include "client/cpp/rpc_status.h"
#include "confstream/internal/grpc_protocols.pb.h"
#include "tests/fakes/scripted_config_service.h"

namespace confstream {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Writes down what it is told, one line an event, and stops the watch at a given line.
class Recorder final : public WatchObserver {
 public:
  void StopAt(SourceWatch* watch, std::function<bool(const std::string& line)> last) {
    watch_ = watch;
    last_ = std::move(last);
  }

  void OnSnapshot(const std::shared_ptr<const ReceivedSnapshot>& snapshot) override {
    snapshots.push_back(snapshot);
    Add(absl::StrCat("snapshot ", snapshot->header.version()));
  }
  void OnStatus(const v1::ResponseHeader&, const v1::SourceStatus& status) override {
    Add(absl::StrCat("status ", v1::SourceState_Name(status.state())));
  }
  void OnHeartbeat(const v1::ResponseHeader& header, bool in_sync) override {
    Add(absl::StrCat("heartbeat ", header.version(), in_sync ? " in sync" : ""));
  }
  void OnStale(absl::Duration) override { Add("stale"); }
  void OnDisconnected(const absl::Status& why, absl::Duration retry_in) override {
    reasons.push_back(why);
    retries.push_back(retry_in);
    Add("disconnected");
  }

  std::vector<std::string> lines;
  std::vector<std::shared_ptr<const ReceivedSnapshot>> snapshots;
  std::vector<absl::Status> reasons;
  std::vector<absl::Duration> retries;

 private:
  void Add(std::string line) {
    lines.push_back(std::move(line));
    if (watch_ != nullptr && last_(lines.back())) watch_->Stop();
  }

  SourceWatch* watch_ = nullptr;
  std::function<bool(const std::string&)> last_;
};

class SourceWatchTest : public ::testing::Test {
 protected:
  SourceWatchTest() {
    options_.request.set_source("app");
    options_.first_backoff = absl::Milliseconds(5);
    options_.most_backoff = absl::Milliseconds(20);
    options_.time_limit = absl::Seconds(30);
  }

  static ScriptedVersion App(int64_t version, const std::string& content) {
    ScriptedVersion scripted;
    scripted.version = version;
    scripted.files = {{"a", content}};
    return scripted;
  }

  absl::Status RunUntil(const std::string& last_line) {
    auto connection = Connection::To(server_.address());
    EXPECT_TRUE(connection.ok()) << connection.status();
    SourceWatch watch(connection->get(), options_, &recorder_);
    recorder_.StopAt(&watch, [last_line](const std::string& line) { return line == last_line; });
    return watch.Run();
  }

  ScriptedConfigService server_;
  SourceWatchOptions options_;
  Recorder recorder_;
};

TEST_F(SourceWatchTest, TellsSnapshotsStatusesAndHeartbeatsInOrder) {
  v1::SourceStatus degraded;
  degraded.set_state(v1::SOURCE_STATE_DEGRADED);
  WatchScript script;
  script.messages = Then(SnapshotOf(App(1, "one")),
                         {StatusAt(App(1, "one"), degraded), HeartbeatAt(App(1, "one"), false)});
  script.messages = Then(script.messages, SnapshotOf(App(2, "two")));
  script.hold_open = true;
  server_.Play(script);
  EXPECT_TRUE(RunUntil("snapshot 2").ok());
  EXPECT_THAT(recorder_.lines, ElementsAre("snapshot 1", "status SOURCE_STATE_DEGRADED",
                                           "heartbeat 1", "snapshot 2"));
}

TEST_F(SourceWatchTest, ResumesWithTheTokenOfTheLastCompleteVersionAfterACutBetweenFragments) {
  ScriptedVersion second = App(2, std::string(100, 'x'));
  second.fragment_bytes = 30;
  WatchScript cut;
  cut.messages = SnapshotOf(App(1, "one"));
  cut.messages = Then(cut.messages, {SnapshotOf(second)[0], SnapshotOf(second)[1]});
  cut.ending = grpc::Status(grpc::StatusCode::UNAVAILABLE, "gone");
  server_.Play(cut);
  WatchScript rest;
  rest.messages = SnapshotOf(second);
  rest.hold_open = true;
  server_.Play(rest);
  EXPECT_TRUE(RunUntil("snapshot 2").ok());
  EXPECT_THAT(recorder_.lines, ElementsAre("snapshot 1", "disconnected", "snapshot 2"));
  EXPECT_EQ(*recorder_.snapshots.back()->Find("a")->content, std::string(100, 'x'));
  const auto requests = server_.requests();
  ASSERT_EQ(requests.size(), 2u);
  EXPECT_EQ(requests[0].resume_token(), "");
  EXPECT_EQ(requests[1].resume_token(), "token-e1-1");
}

TEST_F(SourceWatchTest, EveryEndingThatWasNotAskedForIsRetried) {
  const grpc::StatusCode codes[] = {
      grpc::StatusCode::OK,       grpc::StatusCode::CANCELLED, grpc::StatusCode::UNKNOWN,
      grpc::StatusCode::INTERNAL, grpc::StatusCode::ABORTED,   grpc::StatusCode::RESOURCE_EXHAUSTED,
      grpc::StatusCode::DATA_LOSS};
  WatchScript first;
  first.messages = SnapshotOf(App(1, "one"));
  first.ending = grpc::Status(grpc::StatusCode::UNAVAILABLE, "gone");
  server_.Play(first);
  for (const grpc::StatusCode code : codes) {
    WatchScript again;
    again.messages = {HeartbeatAt(App(1, "one"), true)};
    again.ending = grpc::Status(code, "whatever");
    server_.Play(again);
  }
  WatchScript last;
  last.messages = SnapshotOf(App(2, "two"));
  server_.Play(last);
  EXPECT_TRUE(RunUntil("snapshot 2").ok());
  EXPECT_EQ(server_.requests().size(), 2 + std::size(codes));
  for (const absl::Duration retry : recorder_.retries) EXPECT_LE(retry, absl::Milliseconds(20));
}

TEST_F(SourceWatchTest, ARemovedSourceEndsTheWatch) {
  WatchScript script;
  script.messages = SnapshotOf(App(1, "one"));
  script.ending = grpc::Status(grpc::StatusCode::NOT_FOUND, "source app was removed");
  server_.Play(script);
  const absl::Status ended = RunUntil("never");
  EXPECT_EQ(ended.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(recorder_.lines, ElementsAre("snapshot 1"));
}

TEST_F(SourceWatchTest, ALieIsStartedOverWithoutAToken) {
  std::vector<v1::WatchResponse> lie = SnapshotOf(App(2, "two"));
  lie[0].mutable_snapshot()->set_view_digest("sha256:0000");
  WatchScript liar;
  liar.messages = Then(SnapshotOf(App(1, "one")), lie);
  liar.hold_open = true;
  server_.Play(liar);
  WatchScript honest;
  honest.messages = SnapshotOf(App(2, "two"));
  honest.hold_open = true;
  server_.Play(honest);
  EXPECT_TRUE(RunUntil("snapshot 2").ok());
  EXPECT_THAT(recorder_.lines, ElementsAre("snapshot 1", "disconnected", "snapshot 2"));
  ASSERT_FALSE(recorder_.reasons.empty());
  EXPECT_EQ(recorder_.reasons[0].code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(server_.requests()[1].resume_token(), "");
}

TEST_F(SourceWatchTest, ASilentServerMakesTheCopyStaleOnceAndIsLeft) {
  options_.request.mutable_heartbeat_interval()->set_nanos(150 * 1000 * 1000);
  WatchScript silent;
  silent.messages = SnapshotOf(App(1, "one"));
  silent.hold_open = true;
  server_.Play(silent);
  silent.messages.clear();
  server_.Play(silent);
  WatchScript back;
  back.messages = {HeartbeatAt(App(1, "one"), true)};
  back.hold_open = true;
  server_.Play(back);
  EXPECT_TRUE(RunUntil("heartbeat 1 in sync").ok());
  ASSERT_THAT(recorder_.lines, ElementsAre("snapshot 1", "stale", "disconnected", "disconnected",
                                           "heartbeat 1 in sync"));
  EXPECT_THAT(std::string(recorder_.reasons[0].message()), HasSubstr("sent nothing for"));
  EXPECT_EQ(server_.requests()[2].resume_token(), "token-e1-1");
}

TEST_F(SourceWatchTest, WithoutHeartbeatsSilenceIsNoSignOfAnything) {
  options_.request.mutable_heartbeat_interval();
  options_.time_limit = absl::Milliseconds(300);
  WatchScript silent;
  silent.messages = SnapshotOf(App(1, "one"));
  silent.hold_open = true;
  server_.Play(silent);
  EXPECT_EQ(RunUntil("never").code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_THAT(recorder_.lines, ElementsAre("snapshot 1"));
}

TEST_F(SourceWatchTest, UntilInSyncEndsWellOnlyAfterAMessageInSync) {
  options_.request.set_until_in_sync(true);
  WatchScript early;
  early.messages = {StatusAt(App(0, ""), {})};
  server_.Play(early);
  WatchScript whole;
  whole.messages = SnapshotOf(App(1, "one"));
  server_.Play(whole);
  EXPECT_TRUE(RunUntil("never").ok());
  EXPECT_THAT(recorder_.lines,
              ElementsAre("status SOURCE_STATE_UNSPECIFIED", "disconnected", "snapshot 1"));
}

TEST_F(SourceWatchTest, TheServersRetryHintIsHonoured) {
  internal::RetryInfo retry;
  retry.mutable_retry_delay()->set_nanos(400 * 1000 * 1000);
  internal::RpcStatus details;
  auto* const detail = details.add_details();
  detail->set_type_url("type.googleapis.com/google.rpc.RetryInfo");
  retry.SerializeToString(detail->mutable_value());
  WatchScript draining;
  draining.ending =
      grpc::Status(grpc::StatusCode::UNAVAILABLE, "draining", details.SerializeAsString());
  server_.Play(draining);
  WatchScript back;
  back.messages = SnapshotOf(App(1, "one"));
  server_.Play(back);
  EXPECT_TRUE(RunUntil("snapshot 1").ok());
  ASSERT_EQ(recorder_.retries.size(), 1u);
  EXPECT_EQ(recorder_.retries[0], absl::Milliseconds(400));
}

TEST_F(SourceWatchTest, AServerThatComesBackIsFoundAgain) {
  WatchScript first;
  first.messages = SnapshotOf(App(1, "one"));
  first.hold_open = true;
  server_.Play(first);
  WatchScript script;
  script.messages = SnapshotOf(App(2, "two"));
  const std::string address = server_.address();
  std::unique_ptr<ScriptedConfigService> second;
  auto connection = Connection::To(address);
  ASSERT_TRUE(connection.ok());
  SourceWatch watch(connection->get(), options_, &recorder_);
  recorder_.StopAt(&watch, [&](const std::string& line) {
    if (line == "snapshot 1") {
      server_.Stop();
      second = std::make_unique<ScriptedConfigService>(address, std::deque<WatchScript>{script});
    }
    return line == "snapshot 2";
  });
  const absl::Status ended = watch.Run();
  EXPECT_TRUE(ended.ok()) << ended;
  ASSERT_NE(second, nullptr);
  ASSERT_FALSE(second->requests().empty());
  EXPECT_EQ(second->requests().front().resume_token(), "token-e1-1");
}

TEST_F(SourceWatchTest, AnUnreachableServerIsTriedAgainAndAgain) {
  server_.Stop();
  int failures = 0;
  auto connection = Connection::To(server_.address());
  ASSERT_TRUE(connection.ok());
  SourceWatch watch(connection->get(), options_, &recorder_);
  recorder_.StopAt(&watch, [&failures](const std::string&) { return ++failures == 5; });
  EXPECT_TRUE(watch.Run().ok());
  for (const absl::Status& reason : recorder_.reasons) {
    EXPECT_EQ(reason.code(), absl::StatusCode::kUnavailable) << reason;
  }
}

TEST_F(SourceWatchTest, TheFirstAttemptAfterTheServerIsBackConnects) {
  const std::string address = server_.address();
  server_.Stop();
  WatchScript script;
  script.messages = SnapshotOf(App(1, "one"));
  std::unique_ptr<ScriptedConfigService> second;
  auto connection = Connection::To(address);
  ASSERT_TRUE(connection.ok());
  SourceWatch watch(connection->get(), options_, &recorder_);
  recorder_.StopAt(&watch, [&](const std::string& line) {
    if (recorder_.lines.size() == 3) {
      second = std::make_unique<ScriptedConfigService>(address, std::deque<WatchScript>{script});
    }
    return line == "snapshot 1";
  });
  EXPECT_TRUE(watch.Run().ok());
  EXPECT_THAT(recorder_.lines,
              ElementsAre("disconnected", "disconnected", "disconnected", "snapshot 1"));
}

TEST_F(SourceWatchTest, WithoutRetryTheFirstEndingIsFinal) {
  options_.retry = false;
  server_.Stop();
  EXPECT_EQ(RunUntil("never").code(), absl::StatusCode::kUnavailable);
  EXPECT_TRUE(recorder_.lines.empty());
}

TEST_F(SourceWatchTest, StopFromAnotherThreadEndsAnIdleStream) {
  // Nothing else would end it.
  options_.time_limit = absl::InfiniteDuration();
  options_.request.mutable_heartbeat_interval();
  WatchScript idle;
  idle.hold_open = true;
  server_.Play(idle);
  auto connection = Connection::To(server_.address());
  ASSERT_TRUE(connection.ok());
  SourceWatch watch(connection->get(), options_, &recorder_);
  std::thread stopper([&] {
    EXPECT_TRUE(server_.AwaitRequests(1));
    watch.Stop();
  });
  EXPECT_TRUE(watch.Run().ok());
  stopper.join();
}

TEST_F(SourceWatchTest, StopBeforeRunEndsItAtOnce) {
  auto connection = Connection::To(server_.address());
  ASSERT_TRUE(connection.ok());
  SourceWatch watch(connection->get(), options_, &recorder_);
  watch.Stop();
  EXPECT_TRUE(watch.Run().ok());
  EXPECT_TRUE(recorder_.lines.empty());
}

TEST_F(SourceWatchTest, AFileOf20MiBArrivesWithDefaultMessageLimits) {
  std::string content(size_t{20} << 20, 'x');
  for (size_t i = 0; i < content.size(); i += 4093) content[i] = static_cast<char>('a' + i % 26);
  WatchScript script;
  script.messages = SnapshotOf(App(1, content));
  ASSERT_EQ(script.messages.size(), 20u);
  server_.Play(script);
  EXPECT_TRUE(RunUntil("snapshot 1").ok());
  EXPECT_TRUE(*recorder_.snapshots.back()->Find("a")->content == content);
}

TEST(BackoffTest, StaysWithinABoundThatDoublesUpToTheMost) {
  Backoff backoff(absl::Milliseconds(100), absl::Seconds(1));
  const int bounds_ms[] = {100, 200, 400, 800, 1000, 1000};
  for (int round = 0; round < 50; ++round) {
    for (const int bound_ms : bounds_ms) {
      const absl::Duration delay = backoff.Next();
      EXPECT_GE(delay, absl::ZeroDuration());
      EXPECT_LE(delay, absl::Milliseconds(bound_ms));
    }
    backoff.Reset();
  }
}

TEST(BackoffTest, SpreadsOverTheWholeRange) {
  Backoff backoff(absl::Seconds(1), absl::Seconds(1));
  int low = 0, high = 0;
  for (int i = 0; i < 1000; ++i) (backoff.Next() < absl::Milliseconds(500) ? low : high)++;
  EXPECT_GT(low, 300);
  EXPECT_GT(high, 300);
}

TEST(ConnectionTest, TakesHostAndPortAndUnixSocketsOnly) {
  for (const char* good :
       {"127.0.0.1:50051", "localhost:1", "[::1]:50051", "unix:/run/x.sock", "unix:x"}) {
    EXPECT_TRUE(Connection::To(good).ok()) << good;
  }
  for (const char* bad : {"", "localhost", ":50051", "localhost:", "localhost:0", "host:70000",
                          "::1:50051", "http://host:1", "unix:", "a b:1", "host:50051\n"}) {
    const auto connection = Connection::To(bad);
    EXPECT_EQ(connection.status().code(), absl::StatusCode::kInvalidArgument) << bad;
  }
}

TEST(RpcStatusTest, ReadsReasonAndDelayAndBearsNonsense) {
  internal::ErrorInfo info;
  info.set_reason("DRAINING");
  info.set_domain("confstream.dev");
  internal::RpcStatus details;
  auto* const detail = details.add_details();
  detail->set_type_url("type.googleapis.com/google.rpc.ErrorInfo");
  info.SerializeToString(detail->mutable_value());
  const absl::Status status = FromGrpcStatus(
      grpc::Status(grpc::StatusCode::UNAVAILABLE, "shutting down", details.SerializeAsString()));
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(status.message(), "shutting down");
  EXPECT_EQ(ErrorReason(status), "DRAINING");
  EXPECT_EQ(RetryDelay(status), std::nullopt);

  const absl::Status nonsense =
      FromGrpcStatus(grpc::Status(grpc::StatusCode::INTERNAL, "x", "\xff\xff"));
  EXPECT_EQ(nonsense.code(), absl::StatusCode::kInternal);
  EXPECT_EQ(ErrorReason(nonsense), "");
}

}  // namespace
}  // namespace confstream
