// Watch over a real connection.

#include "server/serve/watch_stream.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <optional>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/base/error_reason.h"
#include "tests/fakes/client_copy.h"
#include "tests/fakes/fake_history.h"
#include "tests/fakes/in_process_server.h"

namespace confstream {
namespace {

// A stream read message by message, by the thread that asks.
class Reader {
 public:
  Reader(v1::ConfigService::Stub* stub, const v1::WatchRequest& request) {
    // What does not come by then does not come at all.
    context_.set_deadline(absl::ToChronoTime(absl::Now() + absl::Seconds(60)));
    stream_ = stub->Watch(&context_, request);
  }
  ~Reader() { End(); }

  // The next message. Unset: the stream has ended.
  std::optional<v1::WatchResponse> Read() {
    v1::WatchResponse response;
    if (!stream_->Read(&response)) return std::nullopt;
    return response;
  }
  // Expects a message.
  v1::WatchResponse MustRead() {
    auto response = Read();
    EXPECT_TRUE(response.has_value()) << "the stream has ended";
    return std::move(response).value_or(v1::WatchResponse());
  }
  // Reads what is left and returns how the stream ended.
  grpc::Status Drain() {
    while (Read().has_value()) {
    }
    return Finish();
  }
  grpc::Status End() {
    context_.TryCancel();
    return finished_ ? grpc::Status::OK : Drain();
  }

 private:
  grpc::Status Finish() {
    finished_ = true;
    return stream_->Finish();
  }

  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReader<v1::WatchResponse>> stream_;
  bool finished_ = false;
};

v1::WatchRequest Request(const std::string& source = "app") {
  v1::WatchRequest request;
  request.set_source(source);
  return request;
}

TEST(WatchStreamTest, FirstMessageSettlesAndLaterVersionsFollow) {
  InProcessServer server;
  server.Publish(1, {{"a.yaml", "one"}});
  Reader reader(&server.stub(), Request());
  const v1::WatchResponse first = reader.MustRead();
  EXPECT_EQ(first.watch_id().size(), 32u);
  EXPECT_EQ(first.reason(), v1::WATCH_REASON_INITIAL);
  EXPECT_TRUE(first.in_sync());
  EXPECT_EQ(first.header().source(), "app");
  EXPECT_EQ(first.header().version(), 1);
  ASSERT_EQ(first.snapshot().files_size(), 1);
  EXPECT_EQ(first.snapshot().files(0).content(), "one");
  server.Publish(2, {{"a.yaml", "two"}});
  const v1::WatchResponse second = reader.MustRead();
  EXPECT_EQ(second.header().version(), 2);
  EXPECT_EQ(second.reason(), v1::WATCH_REASON_UPDATE);
  EXPECT_EQ(second.watch_id(), "");
}

TEST(WatchStreamTest, SourceThatWaitsSaysSoAndSendsItsFirstContent) {
  InProcessServer server;
  Reader reader(&server.stub(), Request());
  EXPECT_EQ(reader.MustRead().source_status().state(), v1::SOURCE_STATE_WAITING);
  server.Publish(1, {{"a", "1"}});
  EXPECT_EQ(reader.MustRead().reason(), v1::WATCH_REASON_INITIAL);
}

TEST(WatchStreamTest, TokenOfOneStreamResumesAnother) {
  InProcessServer server;
  server.Publish(1, {{"a", "1"}});
  v1::WatchRequest request = Request();
  request.set_resume_token(Reader(&server.stub(), request).MustRead().header().resume_token());
  Reader resumed(&server.stub(), request);
  const v1::WatchResponse first = resumed.MustRead();
  EXPECT_EQ(first.event_case(), v1::WatchResponse::kHeartbeat);
  EXPECT_TRUE(first.in_sync());
  server.Publish(2, {{"a", "2"}});
  EXPECT_EQ(resumed.MustRead().header().version(), 2);
}

TEST(WatchStreamTest, UntilInSyncEndsWithOk) {
  InProcessServer server;
  server.Publish(1, {{"a", "1"}});
  v1::WatchRequest request = Request();
  request.set_until_in_sync(true);
  Reader reader(&server.stub(), request);
  EXPECT_TRUE(reader.MustRead().in_sync());
  EXPECT_TRUE(reader.Drain().ok());
  EXPECT_TRUE(Await([&] { return server.hub().streams() == 0; }));
}

TEST(WatchStreamTest, HeartbeatComesWithoutNews) {
  InProcessServer server;
  server.Publish(1, {{"a", "1"}});
  v1::WatchRequest request = Request();
  request.mutable_heartbeat_interval()->set_seconds(1);
  Reader reader(&server.stub(), request);
  reader.MustRead();
  for (int i = 0; i < 2; ++i) {
    const v1::WatchResponse heartbeat = reader.MustRead();
    EXPECT_EQ(heartbeat.event_case(), v1::WatchResponse::kHeartbeat);
    EXPECT_TRUE(heartbeat.in_sync());
  }
}

TEST(WatchStreamTest, UpdateThatWasHeldComesWithoutFurtherNews) {
  InProcessServer server;
  server.Publish(1, {{"a", "1"}});
  v1::WatchRequest request = Request();
  request.mutable_min_update_interval()->set_nanos(300'000'000);
  Reader reader(&server.stub(), request);
  reader.MustRead();
  server.Publish(2, {{"a", "2"}});
  EXPECT_EQ(reader.MustRead().header().version(), 2);
}

TEST(WatchStreamTest, TwentyMebibytesReachAClientWithDefaultLimits) {
  InProcessServer server;
  Files files = {{"a.txt", "small"}, {"z.txt", "small"}};
  for (int i = 0; i < 5; ++i) {
    files.emplace(absl::StrCat("big", i), std::string(size_t{4} << 20, static_cast<char>('0' + i)));
  }
  server.Publish(1, files);
  v1::WatchRequest request = Request();
  request.set_until_in_sync(true);
  Reader reader(&server.stub(), request);
  Files assembled;
  std::optional<v1::WatchResponse> last;
  while (auto response = reader.Read()) {
    for (const v1::ConfigFile& file : response->snapshot().files()) {
      EXPECT_EQ(static_cast<int64_t>(assembled[file.path()].size()), file.content_offset());
      assembled[file.path()] += file.content();
    }
    last = std::move(response);
  }
  ASSERT_TRUE(last.has_value());
  EXPECT_FALSE(last->more_fragments());
  EXPECT_TRUE(last->in_sync());
  EXPECT_TRUE(assembled == files);
  EXPECT_EQ(last->snapshot().view_digest(), DigestOf(MakeGeneration(files)).Text());
  EXPECT_TRUE(reader.Drain().ok());
}

// Modes.

TEST(WatchStreamTest, DeltasReachTheClientAndMakeTheSameFiles) {
  InProcessServer server;
  Files files = {{"large", std::string(size_t{3} << 20, 'x')}};
  for (int i = 0; i < 50; ++i) files.emplace(absl::StrCat("file", i), "x");
  server.Publish(1, files);
  v1::WatchRequest request = Request();
  request.set_mode(v1::WATCH_MODE_DELTA);
  Reader reader(&server.stub(), request);
  ClientCopy copy;
  while (copy.version() < 1) copy.Take(reader.MustRead());
  for (int64_t version = 2; version <= 5; ++version) {
    files[absl::StrCat("file", version)] = absl::StrCat(version);
    files.erase(absl::StrCat("file", 10 + version));
    if (version == 4) files["large2"] = std::string((size_t{3} << 19) + 7, 'y');
    server.Publish(version, files);
    while (copy.version() < version) copy.Take(reader.MustRead());
    EXPECT_TRUE(copy.files() == files);
  }
  EXPECT_EQ(copy.deltas(), 4);
}

TEST(WatchStreamTest, EveryOfAThousandVersionsArrivesInOrder) {
  constexpr int64_t kVersions = 1000;
  InProcessServer server;
  const auto history = std::make_shared<FakeHistory>();
  const auto publish = [&](int64_t version) {
    const auto snapshot = MakeSnapshot(version, {{"a", absl::StrCat(version % 2)}});
    history->Add(snapshot);
    server.hub().Update(ServingState(snapshot, history));
  };
  publish(1);
  v1::WatchRequest request = Request();
  request.set_every_version(true);
  Reader reader(&server.stub(), request);
  EXPECT_EQ(reader.MustRead().header().version(), 1);
  for (int64_t version = 2; version <= kVersions; ++version) publish(version);
  for (int64_t version = 2; version <= kVersions; ++version) {
    const v1::WatchResponse update = reader.MustRead();
    ASSERT_EQ(update.header().version(), version);
    EXPECT_EQ(update.snapshot().files(0).content(), absl::StrCat(version % 2));
  }
}

TEST(WatchStreamTest, TokenThatIsCompactedEndsTheStreamWithItsReason) {
  InProcessServer server;
  const auto history = std::make_shared<FakeHistory>();
  v1::WatchRequest request = Request();
  request.set_every_version(true);
  for (int64_t version = 1; version <= 5; ++version) {
    const auto snapshot = MakeSnapshot(version, {{"a", absl::StrCat(version)}});
    history->Add(snapshot);
    server.hub().Update(ServingState(snapshot, history));
    if (version > 1) continue;
    request.set_resume_token(Reader(&server.stub(), request).MustRead().header().resume_token());
  }
  history->DropUpTo(3);
  const grpc::Status status = Reader(&server.stub(), request).Drain();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::OUT_OF_RANGE);
  EXPECT_EQ(DetailsOf(status).reason, kVersionCompacted);
  EXPECT_NE(status.error_message().find("oldest retained version is 4"), std::string::npos);
}

TEST(WatchStreamTest, WatcherIsListedWithItsAddress) {
  InProcessServer server;
  server.Publish(1, {{"a", "1"}});
  Reader reader(&server.stub(), Request());
  reader.MustRead();
  const auto listed = server.hub().ListWatchers("", {}, 10);
  ASSERT_EQ(listed->size(), 1u);
  EXPECT_EQ(listed->front().peer().rfind("ipv4:127.0.0.1:", 0), 0u) << listed->front().peer();
}

// Endings.

TEST(WatchStreamTest, RefusedRequestCarriesItsReason) {
  InProcessServer server;
  const grpc::Status unknown = Reader(&server.stub(), Request("no-such")).Drain();
  EXPECT_EQ(unknown.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(DetailsOf(unknown).reason, kSourceNotFound);
  const grpc::Status invalid = Reader(&server.stub(), Request("")).Drain();
  EXPECT_EQ(invalid.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(DetailsOf(invalid).reason, kInvalidRequest);
  EXPECT_EQ(server.hub().streams(), 0);
}

TEST(WatchStreamTest, RequestThatIsNoProtobufIsRefused) {
  InProcessServer server;
  // Goes out as it is, but no server may take it: strings are UTF-8.
  const grpc::Status status = Reader(&server.stub(), Request("\xff\xfe")).Drain();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(DetailsOf(status).reason, kInvalidRequest);
}

TEST(WatchStreamTest, RemovedSourceEndsTheStreamWithNotFound) {
  InProcessServer server;
  server.Publish(1, {{"a", "1"}});
  Reader reader(&server.stub(), Request());
  reader.MustRead();
  server.hub().RemoveSource("app");
  const grpc::Status status = reader.Drain();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(DetailsOf(status).reason, kSourceRemoved);
}

TEST(WatchStreamTest, ShutdownEndsStreamsWithARetryHint) {
  InProcessServer server;
  server.Publish(1, {{"a", "1"}});
  Reader reader(&server.stub(), Request());
  reader.MustRead();
  server.hub().EndAll(
      ErrorWithReason(absl::StatusCode::kUnavailable, kDraining, "bye", absl::Seconds(1)));
  const grpc::Status status = reader.Drain();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(DetailsOf(status).reason, kDraining);
  EXPECT_TRUE(DetailsOf(status).retry_delay.has_value());
  server.server().Shutdown(absl::InfiniteDuration());
}

TEST(WatchStreamTest, ClientThatLeavesIsForgotten) {
  InProcessServer server;
  server.Publish(1, {{"a", "1"}});
  {
    Reader idle(&server.stub(), Request());
    idle.MustRead();
    Reader filtered(&server.stub(), Request());
    EXPECT_TRUE(Await([&] { return server.hub().streams() == 2; }));
  }
  EXPECT_TRUE(Await([&] { return server.hub().streams() == 0; }));
}

TEST(WatchStreamTest, ReaderThatTakesNothingIsCancelledAndCostsOthersNothing) {
  InProcessServer server(absl::Seconds(1));
  const std::string large(size_t{8} << 20, 'x');
  server.Publish(1, {{"large", large}, {"small", "1"}});
  v1::WatchRequest small = Request();
  small.add_path_globs("small");
  Reader reader(&server.stub(), small);
  EXPECT_EQ(reader.MustRead().header().version(), 1);
  const auto connection = v1::ConfigService::NewStub(server.Connect());
  Reader stalled(connection.get(), Request());
  EXPECT_TRUE(Await([&] { return server.hub().streams() == 2; }));
  // While one stream is stuck the other goes on.
  server.Publish(2, {{"large", large}, {"small", "2"}});
  EXPECT_EQ(reader.MustRead().header().version(), 2);

  ASSERT_TRUE(Await([&] { return server.hub().streams() == 1; })) << "the stalled one is ended";
  EXPECT_EQ(stalled.Drain().error_code(), grpc::StatusCode::CANCELLED);
  server.Publish(3, {{"large", large}, {"small", "3"}});
  EXPECT_EQ(reader.MustRead().header().version(), 3);
}

TEST(WatchStreamTest, StreamWithoutNewsIsNotTakenForAStalledOne) {
  InProcessServer server(absl::Seconds(1));
  server.Publish(1, {{"a", "1"}});
  v1::WatchRequest request = Request();
  request.mutable_heartbeat_interval()->set_seconds(2);
  Reader reader(&server.stub(), request);
  EXPECT_EQ(reader.MustRead().header().version(), 1);
  EXPECT_EQ(reader.MustRead().event_case(), v1::WatchResponse::kHeartbeat)
      << "after twice the time that a write may take";
  server.Publish(2, {{"a", "2"}});
  EXPECT_EQ(reader.MustRead().header().version(), 2);
}

// Many streams.

// A stream that is read by gRPC's threads, as fast as messages come.
class CallbackReader final : public grpc::ClientReadReactor<v1::WatchResponse> {
 public:
  CallbackReader(v1::ConfigService::Stub* stub, v1::WatchRequest request)
      : request_(std::move(request)) {
    stub->async()->Watch(&context_, &request_, this);
    StartRead(&response_);
    StartCall();
  }

  void OnReadDone(bool ok) override {
    if (!ok) return;
    {
      MutexLock lock(&mu_);
      increasing_ = increasing_ && response_.header().version() > version_;
      version_ = response_.header().version();
      accounted_ += 1 + response_.skipped_versions();
    }
    StartRead(&response_);
  }
  void OnDone(const grpc::Status&) override {
    MutexLock lock(&mu_);
    done_ = true;
  }

  void Cancel() { context_.TryCancel(); }

  int64_t version() const {
    MutexLock lock(&mu_);
    return version_;
  }
  // How many versions came or were said to be skipped.
  int64_t accounted() const {
    MutexLock lock(&mu_);
    return accounted_;
  }
  bool increasing() const {
    MutexLock lock(&mu_);
    return increasing_;
  }
  bool done() const {
    MutexLock lock(&mu_);
    return done_;
  }

 private:
  grpc::ClientContext context_;
  const v1::WatchRequest request_;
  v1::WatchResponse response_;
  mutable Mutex mu_;
  int64_t version_ ABSL_GUARDED_BY(mu_) = 0;
  int64_t accounted_ ABSL_GUARDED_BY(mu_) = 0;
  bool increasing_ ABSL_GUARDED_BY(mu_) = true;
  bool done_ ABSL_GUARDED_BY(mu_) = false;
};

int64_t Threads() {
  return std::distance(std::filesystem::directory_iterator("/proc/self/task"), {});
}

TEST(WatchStreamTest, TwoHundredStreamsSeeTheLastOfAHundredVersionsWithoutThreadsOfTheirOwn) {
  constexpr size_t kStreams = 200;
  constexpr int64_t kVersions = 100;
  InProcessServer server;
  server.Publish(1, {{"a", "1"}});
  std::vector<std::unique_ptr<CallbackReader>> readers;
  const auto all = [&readers](const std::function<bool(const CallbackReader&)>& holds) {
    return std::all_of(readers.begin(), readers.end(),
                       [&holds](const auto& reader) { return holds(*reader); });
  };
  const auto at = [](int64_t version) {
    return [version](const CallbackReader& reader) { return reader.version() == version; };
  };
  // The first few make gRPC start the threads that it needs anyhow.
  int64_t threads_before = 0;
  for (size_t i = 0; i < kStreams; ++i) {
    if (i == 10) {
      ASSERT_TRUE(Await([&] { return all(at(1)); }));
      threads_before = Threads();
    }
    readers.push_back(std::make_unique<CallbackReader>(&server.stub(), Request()));
  }
  EXPECT_TRUE(Await([&] { return all(at(1)); }));
  for (int64_t version = 2; version <= kVersions; ++version) {
    server.Publish(version, {{"a", absl::StrCat(version)}});
  }
  EXPECT_TRUE(Await([&] { return all(at(kVersions)); }));
  EXPECT_LT(Threads() - threads_before, static_cast<int64_t>(kStreams / 4));
  for (const auto& reader : readers) {
    EXPECT_TRUE(reader->increasing());
    EXPECT_EQ(reader->accounted(), kVersions);
    reader->Cancel();
  }
  EXPECT_TRUE(Await([&] { return all([](const CallbackReader& r) { return r.done(); }); }));
  EXPECT_TRUE(Await([&] { return server.hub().streams() == 0; }));
}

}  // namespace
}  // namespace confstream
