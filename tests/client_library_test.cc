// The library as programs see it (client/cpp/client.h), against a server that plays scripts: the
// twelve promises of docs/clients.md.

#include <errno.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <future>
#include <stdexcept>
#include <thread>

#include "absl/status/status.h"
#include "client/cpp/client.h"
#include "tests/fakes/scripted_config_service.h"
#include "tests/fakes/temporary_directory.h"
#include "tests/fakes/watch_recorder.h"

namespace confstream {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::SizeIs;
using ::testing::StartsWith;
using ::testing::UnorderedElementsAre;
using Kind = Event::Kind;

constexpr seconds kPatience{20};

ScriptedVersion App(int64_t version, const std::string& content) {
  ScriptedVersion scripted;
  scripted.version = version;
  scripted.files = {{"a", content}};
  return scripted;
}

// Sends `messages`, and then nothing.
WatchScript Open(std::vector<v1::WatchResponse> messages) {
  WatchScript script;
  script.messages = std::move(messages);
  script.hold_open = true;
  return script;
}

WatchScript End(std::vector<v1::WatchResponse> messages, grpc::StatusCode code) {
  WatchScript script;
  script.messages = std::move(messages);
  script.ending = grpc::Status(code, "ended by the script");
  return script;
}

std::vector<int64_t> Versions(const std::vector<Change>& changes) {
  std::vector<int64_t> versions;
  for (const Change& change : changes) versions.push_back(change.snapshot->version);
  return versions;
}

class ClientLibraryTest : public ::testing::Test {
 protected:
  ClientLibraryTest() { options_.source = "app"; }

  // Closes what was followed before.
  Watch& Follow() {
    watch_ = std::make_unique<Watch>(Client(server_.address()), options_);
    return *watch_;
  }
  // The same, with everything written down.
  Watch& Record(std::function<Status(const Change&)> answer = nullptr) {
    recorder_.ListenTo(&options_, std::move(answer));
    return Follow();
  }

  bool AwaitVersion(int64_t version) {
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    while (std::chrono::steady_clock::now() < deadline) {
      const auto current = watch_->Current();
      if (current != nullptr && current->version == version) return true;
      std::this_thread::sleep_for(milliseconds(1));
    }
    return false;
  }

  ScriptedConfigService server_;
  TemporaryDirectory cache_;
  WatchRecorder recorder_;
  WatchOptions options_;
  std::unique_ptr<Watch> watch_;
};

// 1. First state.

TEST_F(ClientLibraryTest, WaitReturnsTheFirstContent) {
  ScriptedVersion version = App(3, "one");
  version.files["b/c.yaml"] = "";
  version.missing_globs = {"*.json"};
  server_.Play(Open(SnapshotOf(version)));
  Watch& watch = Follow();
  const auto [status, snapshot] = watch.Wait(kPatience);
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_EQ(snapshot->source, "app");
  EXPECT_EQ(snapshot->epoch, "e1");
  EXPECT_EQ(snapshot->version, 3);
  EXPECT_THAT(snapshot->view_digest, StartsWith("sha256:"));
  EXPECT_EQ(snapshot->publish_time.time_since_epoch(), seconds(1769853603));
  EXPECT_THAT(snapshot->missing_globs, ElementsAre("*.json"));
  ASSERT_THAT(snapshot->files, SizeIs(2));
  EXPECT_EQ(*snapshot->Find("a")->content, "one");
  EXPECT_EQ(snapshot->Find("a")->content_type, "text/plain");
  EXPECT_EQ(snapshot->Find("a")->last_changed_version, 3);
  EXPECT_EQ(*snapshot->Find("b/c.yaml")->content, "");
  EXPECT_EQ(snapshot->Find("b"), nullptr);
  EXPECT_EQ(watch.Current(), snapshot);
  EXPECT_FALSE(watch.stale());
  EXPECT_EQ(watch.Wait(milliseconds(0)).snapshot, snapshot);
}

TEST_F(ClientLibraryTest, WaitFailsAtItsDeadlineAndSaysWhatTheSourceLacks) {
  v1::SourceStatus waiting;
  waiting.set_state(v1::SOURCE_STATE_WAITING);
  waiting.add_violations()->set_message("line 3 is no YAML");
  server_.Play(Open({StatusAt(App(0, ""), waiting)}));
  recorder_.ListenToLog(&options_);
  Watch& watch = Follow();
  ASSERT_TRUE(recorder_.AwaitEvents(Kind::kConnected, 1));
  const auto [status, snapshot] = watch.Wait(milliseconds(300));
  EXPECT_EQ(status.code(), StatusCode::kDeadlineExceeded);
  EXPECT_THAT(status.message(), HasSubstr("WAITING"));
  EXPECT_THAT(status.message(), HasSubstr("line 3 is no YAML"));
  EXPECT_EQ(snapshot, nullptr);
  EXPECT_EQ(watch.Current(), nullptr);
  EXPECT_TRUE(watch.status().ok());
}

TEST_F(ClientLibraryTest, WaitFailsAtItsDeadlineAndSaysThatNobodyAnswers) {
  server_.Stop();
  recorder_.ListenToLog(&options_);
  Watch& watch = Follow();
  ASSERT_TRUE(recorder_.AwaitEvents(Kind::kDisconnected, 1));
  const Status status = watch.Wait(milliseconds(1)).status;
  EXPECT_EQ(status.code(), StatusCode::kDeadlineExceeded);
  EXPECT_THAT(status.message(), HasSubstr("UNAVAILABLE"));
}

TEST_F(ClientLibraryTest, WaitEndsWithTheWatch) {
  server_.Play(End({}, grpc::StatusCode::PERMISSION_DENIED));
  EXPECT_EQ(Follow().Wait(kPatience).status.code(), StatusCode::kPermissionDenied);
}

// 3. Changes.

TEST_F(ClientLibraryTest, ChangesComeInOrderEachWithTheOneBefore) {
  server_.Play(Open(SnapshotOf(App(1, "one"))));
  server_.Play(Open(SnapshotOf(App(2, "two"))));
  Record();
  ASSERT_TRUE(recorder_.AwaitChanges(1));
  server_.EndStreams();
  ASSERT_TRUE(recorder_.AwaitChanges(2));
  const std::vector<Change> changes = recorder_.changes();
  EXPECT_THAT(Versions(changes), ElementsAre(1, 2));
  EXPECT_EQ(changes[0].old_snapshot, nullptr);
  EXPECT_EQ(changes[1].old_snapshot, changes[0].snapshot);
  EXPECT_EQ(*changes[1].snapshot->Find("a")->content, "two");
  EXPECT_FALSE(changes[0].from_cache);
}

TEST_F(ClientLibraryTest, WhoIsSlowMissesVersionsButNotTheNewest) {
  std::vector<v1::WatchResponse> messages;
  for (int version = 2; version <= 20; ++version) {
    messages = Then(messages, SnapshotOf(App(version, std::to_string(version))));
  }
  server_.Play(Open(SnapshotOf(App(1, "one"))));
  server_.Play(Open(messages));
  std::promise<void> go_on;
  std::shared_future<void> may_go_on(go_on.get_future());
  Record([may_go_on](const Change&) {
    may_go_on.wait();
    return Status();
  });
  ASSERT_TRUE(recorder_.AwaitChanges(1));
  server_.EndStreams();
  ASSERT_TRUE(AwaitVersion(20)) << "a slow callback holds nothing up";
  EXPECT_THAT(recorder_.changes(), SizeIs(1)) << "they come one at a time";
  go_on.set_value();
  ASSERT_TRUE(server_.AwaitReports(2));
  EXPECT_THAT(Versions(recorder_.changes()), ElementsAre(1, 20));
  EXPECT_EQ(recorder_.changes()[1].old_snapshot->version, 1);
}

TEST_F(ClientLibraryTest, TheSameContentIsNoChangeWhateverItsVersion) {
  server_.Play(Open(SnapshotOf(App(1, "one"))));
  ScriptedVersion same = App(7, "one");
  ScriptedVersion other = App(8, "eight");
  same.epoch = other.epoch = "e2";
  server_.Play(Open(SnapshotOf(same)));
  server_.Play(Open(SnapshotOf(other)));
  Record();
  ASSERT_TRUE(server_.AwaitReports(1));
  server_.EndStreams();
  ASSERT_TRUE(AwaitVersion(7));
  EXPECT_EQ(watch_->Current()->epoch, "e2");
  ASSERT_TRUE(server_.AwaitReports(2));
  server_.EndStreams();
  ASSERT_TRUE(recorder_.AwaitChanges(2));
  EXPECT_THAT(Versions(recorder_.changes()), ElementsAre(1, 8));
}

TEST_F(ClientLibraryTest, WhatIsBackBeforeItWasMissedIsNoChange) {
  server_.Play(Open(SnapshotOf(App(1, "one"))));
  server_.Play(Open(Then(SnapshotOf(App(2, "two")), SnapshotOf(App(3, "one")))));
  std::promise<void> go_on;
  std::shared_future<void> may_go_on(go_on.get_future());
  Record([may_go_on](const Change&) {
    may_go_on.wait();
    return Status();
  });
  ASSERT_TRUE(recorder_.AwaitChanges(1));
  server_.EndStreams();
  ASSERT_TRUE(AwaitVersion(3));
  go_on.set_value();
  ASSERT_TRUE(server_.AwaitReports(2));
  EXPECT_EQ(server_.reports()[1].version(), 3) << "what is in use is what is held";
  EXPECT_THAT(recorder_.changes(), SizeIs(1));
}

// 4. and 5. Reconnecting and resuming.

TEST_F(ClientLibraryTest, AnUnaskedEndingIsResumedWithTheToken) {
  server_.Play(End(SnapshotOf(App(1, "one")), grpc::StatusCode::OK));
  server_.Play(End({HeartbeatAt(App(2, "one"), true)}, grpc::StatusCode::CANCELLED));
  server_.Play(Open({DeltaOf(App(2, "one"), App(3, "three"))}));
  Record();
  ASSERT_TRUE(recorder_.AwaitChanges(2));
  const auto requests = server_.requests();
  ASSERT_EQ(requests.size(), 3u);
  EXPECT_EQ(requests[0].resume_token(), "");
  EXPECT_EQ(requests[1].resume_token(), "token-e1-1");
  EXPECT_EQ(requests[2].resume_token(), "token-e1-2");
  const auto disconnected = recorder_.events(Kind::kDisconnected);
  ASSERT_THAT(disconnected, SizeIs(2));
  EXPECT_EQ(disconnected[0].code, StatusCode::kUnavailable);
  EXPECT_EQ(disconnected[1].code, StatusCode::kCancelled);
  for (const Event& event : disconnected) EXPECT_LE(event.retry_in, milliseconds(100));
}

TEST_F(ClientLibraryTest, AnErrorThatComesBackEndsTheWatchAfterTheLastChange) {
  server_.Play(End(SnapshotOf(App(1, "one")), grpc::StatusCode::NOT_FOUND));
  std::promise<void> go_on;
  std::shared_future<void> may_go_on(go_on.get_future());
  Watch& watch = Record([may_go_on](const Change&) {
    may_go_on.wait();
    return Status();
  });
  ASSERT_TRUE(recorder_.AwaitChanges(1));
  while (watch.status().ok()) std::this_thread::sleep_for(milliseconds(1));
  EXPECT_THAT(recorder_.events(Kind::kEnded), IsEmpty());
  go_on.set_value();
  ASSERT_TRUE(recorder_.AwaitEvents(Kind::kEnded, 1));
  EXPECT_EQ(recorder_.events(Kind::kEnded)[0].code, StatusCode::kNotFound);
  EXPECT_EQ(watch.status().code(), StatusCode::kNotFound);
  EXPECT_EQ(watch.status().message(), "ended by the script");
  EXPECT_EQ(*watch.Current()->Find("a")->content, "one") << "what is held stays held";
}

TEST_F(ClientLibraryTest, WrongOptionsAndAddressesEndTheWatch) {
  const auto end_of = [](const Client& client, const WatchOptions& options) {
    Watch watch(client, options);
    EXPECT_EQ(watch.Report(Snapshot(), Outcome::kApplied).code(), StatusCode::kInvalidArgument);
    return watch.Wait(kPatience).status.code();
  };
  const Client client(server_.address());
  EXPECT_EQ(end_of(Client("nonsense"), options_), StatusCode::kInvalidArgument);
  WatchOptions no_source;
  EXPECT_EQ(end_of(client, no_source), StatusCode::kInvalidArgument);
  WatchOptions no_heartbeat = options_;
  no_heartbeat.heartbeat = seconds(0);
  EXPECT_EQ(end_of(client, no_heartbeat), StatusCode::kInvalidArgument);
  WatchOptions no_text = options_;
  no_text.labels["pod"] = "\xff";
  EXPECT_EQ(end_of(client, no_text), StatusCode::kInvalidArgument);
  WatchOptions no_room = options_;
  no_room.max_bytes = 0;
  EXPECT_EQ(end_of(client, no_room), StatusCode::kInvalidArgument);
  EXPECT_THAT(server_.requests(), IsEmpty());
}

// 6. Stale.

TEST_F(ClientLibraryTest, ASilentServerMakesTheCopyStaleUntilItSettlesTheWatchAgain) {
  options_.heartbeat = seconds(1);
  server_.Play(Open(SnapshotOf(App(1, "one"))));
  // Neither of them settles anything.
  server_.Play(Open({StatusAt(App(1, "one"), {}), HeartbeatAt(App(1, "one"), false)}));
  Watch& watch = Record();
  ASSERT_TRUE(watch.Wait(kPatience).status.ok());
  const auto begin = std::chrono::steady_clock::now();
  ASSERT_TRUE(recorder_.AwaitEvents(Kind::kStale, 1));
  EXPECT_GE(std::chrono::steady_clock::now() - begin, milliseconds(2900));
  EXPECT_TRUE(watch.stale());
  EXPECT_EQ(watch.Current()->version, 1) << "the copy is kept";
  ASSERT_TRUE(server_.AwaitReports(2)) << "the silent stream is given up and resumed";
  EXPECT_EQ(server_.requests()[1].resume_token(), "token-e1-1");
  EXPECT_TRUE(watch.stale());
  EXPECT_THAT(recorder_.events(Kind::kFresh), IsEmpty());
  server_.Play(Open({HeartbeatAt(App(1, "one"), true)}));
  server_.EndStreams();
  ASSERT_TRUE(recorder_.AwaitEvents(Kind::kFresh, 1));
  EXPECT_FALSE(watch.stale());
  EXPECT_THAT(recorder_.events(Kind::kStale), SizeIs(1));
}

TEST_F(ClientLibraryTest, WhereNothingIsHeldNothingIsStale) {
  options_.heartbeat = seconds(1);
  server_.Play(Open({}));
  Watch& watch = Record();
  ASSERT_TRUE(recorder_.AwaitEvents(Kind::kDisconnected, 1)) << "the silent stream is given up";
  EXPECT_FALSE(watch.stale());
  EXPECT_THAT(recorder_.events(Kind::kStale), IsEmpty());
}

// 7. Checked.

TEST_F(ClientLibraryTest, WhatContradictsItselfIsThrownAwayAndStartedOver) {
  std::vector<v1::WatchResponse> lie = SnapshotOf(App(2, "two"));
  lie[0].mutable_snapshot()->set_view_digest("sha256:0000");
  server_.Play(Open(Then(SnapshotOf(App(1, "one")), lie)));
  server_.Play(Open(SnapshotOf(App(3, "three"))));
  Record();
  ASSERT_TRUE(recorder_.AwaitEvents(Kind::kStartedOver, 1));
  EXPECT_THAT(recorder_.events(Kind::kStartedOver)[0].message, HasSubstr("view digest"));
  ASSERT_TRUE(AwaitVersion(3));
  ASSERT_TRUE(server_.AwaitReports(1));
  for (const Change& change : recorder_.changes()) EXPECT_NE(change.snapshot->version, 2);
  EXPECT_EQ(server_.requests()[1].resume_token(), "");
  EXPECT_EQ(recorder_.events(Kind::kDisconnected)[0].code, StatusCode::kDataLoss);
}

// 8. Unknown.

TEST_F(ClientLibraryTest, OfAnUnknownEventTheHeaderCountsAndNothingElse) {
  v1::WatchResponse unknown = HeartbeatAt(App(5, "one"), true);
  unknown.clear_event();
  unknown.GetReflection()->MutableUnknownFields(&unknown)->AddLengthDelimited(99, "what next");
  server_.Play(Open(Then(SnapshotOf(App(1, "one")), {unknown})));
  Record();
  ASSERT_TRUE(AwaitVersion(5));
  ASSERT_TRUE(recorder_.AwaitChanges(1));
  EXPECT_EQ(*watch_->Current()->Find("a")->content, "one");
  EXPECT_THAT(Versions(recorder_.changes()), ElementsAre(1));
}

// 9. Outcomes.

TEST_F(ClientLibraryTest, WhatTheCallbackReturnsIsReported) {
  server_.Play(Open(SnapshotOf(App(1, "one"))));
  server_.Play(Open(SnapshotOf(App(2, "two"))));
  server_.Play(Open(SnapshotOf(App(3, "three"))));
  server_.Play(Open(SnapshotOf(App(4, "four"))));
  Record([](const Change& change) -> Status {
    if (change.snapshot->version == 2) {
      return Status(StatusCode::kInvalidArgument, std::string(2000, 'x'));
    }
    if (change.snapshot->version == 3) throw std::runtime_error("no such cipher");
    if (change.snapshot->version == 4) throw 4;
    return Status();
  });
  for (size_t count = 1; count <= 4; ++count) {
    ASSERT_TRUE(server_.AwaitReports(count));
    server_.EndStreams();
  }
  const auto reports = server_.reports();
  EXPECT_EQ(reports[0].watch_id(), "watch-1");
  EXPECT_EQ(reports[0].version(), 1);
  EXPECT_EQ(reports[0].outcome(), v1::OUTCOME_APPLIED);
  EXPECT_EQ(reports[1].outcome(), v1::OUTCOME_REJECTED);
  EXPECT_EQ(reports[1].reason(), std::string(1024, 'x'));
  EXPECT_EQ(reports[2].outcome(), v1::OUTCOME_REJECTED);
  EXPECT_EQ(reports[2].reason(), "no such cipher");
  EXPECT_EQ(reports[3].outcome(), v1::OUTCOME_REJECTED);
  EXPECT_THAT(reports[3].reason(), HasSubstr("std::exception"));
}

TEST_F(ClientLibraryTest, AReportThatFailedIsTriedAgainWithTheNextMessageWhateverItIs) {
  server_.FailReports(grpc::Status(grpc::StatusCode::INTERNAL, "not now"));
  server_.Play(Open(SnapshotOf(App(1, "one"))));
  Record();
  ASSERT_TRUE(recorder_.AwaitEvents(Kind::kReport, 1));
  EXPECT_THAT(recorder_.events(Kind::kReport)[0].message, HasSubstr("not now"));
  server_.FailReports(grpc::Status::OK);
  server_.Play(Open({StatusAt(App(1, "one"), {})}));
  server_.EndStreams();
  ASSERT_TRUE(server_.AwaitReports(1));
  EXPECT_EQ(server_.reports()[0].watch_id(), "watch-2");
  EXPECT_EQ(server_.reports()[0].version(), 1);
}

TEST_F(ClientLibraryTest, AfterAReconnectionTheOutcomeOfWhatIsHeldIsReportedToTheNewStream) {
  server_.Play(Open(SnapshotOf(App(1, "one"))));
  server_.Play(Open({HeartbeatAt(App(1, "one"), true)}));
  ScriptedVersion again = App(2, "one");
  again.reason = v1::WATCH_REASON_RESYNC;
  server_.Play(Open(SnapshotOf(again)));
  Record([](const Change&) { return Status(StatusCode::kInternal, "no room"); });
  ASSERT_TRUE(server_.AwaitReports(1));
  server_.EndStreams();
  ASSERT_TRUE(server_.AwaitReports(2));
  server_.EndStreams();
  ASSERT_TRUE(server_.AwaitReports(3));
  const auto reports = server_.reports();
  EXPECT_EQ(reports[1].watch_id(), "watch-2");
  EXPECT_EQ(reports[1].version(), 1);
  EXPECT_EQ(reports[2].watch_id(), "watch-3");
  EXPECT_EQ(reports[2].version(), 2);
  EXPECT_EQ(reports[2].outcome(), v1::OUTCOME_REJECTED);
  EXPECT_EQ(reports[2].reason(), "no room");
  EXPECT_THAT(recorder_.changes(), SizeIs(1));
  EXPECT_THAT(recorder_.events(Kind::kReport), IsEmpty()) << "none of them was in vain";
}

TEST_F(ClientLibraryTest, WithoutACallbackOnlyWhatTheProgramSaysIsReported) {
  server_.Play(Open(Then(SnapshotOf(App(1, "one")), {HeartbeatAt(App(4, "one"), true)})));
  server_.Play(Open(SnapshotOf(App(4, "one"))));
  Watch& watch = Follow();
  const auto first = watch.Wait(kPatience).snapshot;
  ASSERT_NE(first, nullptr);
  ASSERT_TRUE(AwaitVersion(4));
  EXPECT_THAT(server_.reports(), IsEmpty());
  const Status told = watch.Report(*watch.Current(), Outcome::kRejected, "too old");
  ASSERT_TRUE(told.ok()) << told.message();
  ASSERT_THAT(server_.reports(), SizeIs(1));
  EXPECT_EQ(server_.reports()[0].version(), 4);
  EXPECT_EQ(server_.reports()[0].outcome(), v1::OUTCOME_REJECTED);
  EXPECT_EQ(server_.reports()[0].reason(), "too old");
  server_.EndStreams();
  ASSERT_TRUE(server_.AwaitReports(2)) << "it is known of the content, not of the stream";
  server_.FailReports(grpc::Status(grpc::StatusCode::INTERNAL, "not now"));
  EXPECT_EQ(watch.Report(*first, Outcome::kApplied).code(), StatusCode::kInternal);
}

// 10. The copy on disk.

TEST_F(ClientLibraryTest, TheNextRunBeginsWithTheCopyOnDiskAndResumesFromIt) {
  options_.cache_directory = cache_.path();
  server_.Play(Open(SnapshotOf(App(1, "one"))));
  Record();
  ASSERT_TRUE(server_.AwaitReports(1));  // after it was written
  watch_->Close();
  const std::string address = server_.address();
  server_.Stop();

  WatchRecorder second;
  second.ListenTo(&options_);
  Watch watch(Client(address), options_);
  ASSERT_NE(watch.Current(), nullptr) << "it is held at once";
  EXPECT_TRUE(watch.stale());
  const auto [status, snapshot] = watch.Wait(milliseconds(50));
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_EQ(*snapshot->Find("a")->content, "one");
  ASSERT_TRUE(second.AwaitChanges(1));
  EXPECT_TRUE(second.changes()[0].from_cache);
  EXPECT_TRUE(watch.stale());
  EXPECT_THAT(second.events(Kind::kStale), SizeIs(1));

  ScriptedConfigService back(address, {Open({HeartbeatAt(App(5, "one"), true)})});
  ASSERT_TRUE(second.AwaitEvents(Kind::kFresh, 1));
  EXPECT_FALSE(watch.stale());
  EXPECT_EQ(watch.Wait(milliseconds(0)).snapshot->version, 5) << "the header moves on";
  EXPECT_EQ(back.requests()[0].resume_token(), "token-e1-1");
  ASSERT_TRUE(back.AwaitReports(1)) << "what was applied before the server came";
  EXPECT_EQ(back.reports()[0].version(), 5);
  EXPECT_EQ(back.reports()[0].outcome(), v1::OUTCOME_APPLIED);
  EXPECT_THAT(second.changes(), SizeIs(1));
  EXPECT_THAT(second.events(Kind::kReport), IsEmpty());
}

TEST_F(ClientLibraryTest, ARejectedVersionIsNotKeptOnDisk) {
  options_.cache_directory = cache_.path();
  server_.Play(Open(SnapshotOf(App(1, "one"))));
  server_.Play(Open(SnapshotOf(App(2, "two"))));
  Record([](const Change& change) {
    return change.snapshot->version == 2 ? Status(StatusCode::kInternal, "no") : Status();
  });
  ASSERT_TRUE(server_.AwaitReports(1));
  server_.EndStreams();
  ASSERT_TRUE(server_.AwaitReports(2));
  EXPECT_EQ(watch_->Current()->version, 2);
  watch_->Close();
  server_.Stop();
  EXPECT_EQ(Follow().Current()->version, 1);
}

TEST_F(ClientLibraryTest, WithoutACallbackAVersionIsKeptAtOnce) {
  options_.cache_directory = cache_.Path("made/for/it");
  server_.Play(Open(SnapshotOf(App(1, "one"))));
  ASSERT_TRUE(Follow().Wait(kPatience).status.ok());
  const std::string copy = options_.cache_directory + "/app.e3b0c44298fc1c14.snapshot";
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (!std::filesystem::exists(copy) && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(milliseconds(1));
  }
  EXPECT_TRUE(std::filesystem::exists(copy));
}

TEST_F(ClientLibraryTest, ACopyThatCannotBeKeptOrReadIsLoggedAndDoesNoHarm) {
  options_.cache_directory = "/dev/null/cache";
  server_.Play(Open(SnapshotOf(App(1, "one"))));
  Record();
  ASSERT_TRUE(server_.AwaitReports(1));
  ASSERT_TRUE(recorder_.AwaitEvents(Kind::kCache, 1));
  EXPECT_EQ(recorder_.events(Kind::kCache)[0].level, Event::Level::kWarning);
  EXPECT_THAT(recorder_.events(Kind::kCache)[0].message, HasSubstr("/dev/null/cache"));
}

// 11. Bounds.

TEST_F(ClientLibraryTest, AVersionThatIsTooLargeIsRefusedAndTheCopyStays) {
  options_.max_bytes = 10;
  server_.Play(Open(Then(SnapshotOf(App(1, "one")), SnapshotOf(App(2, "more than ten bytes")))));
  server_.Play(Open(SnapshotOf(App(3, "three"))));
  Record();
  ASSERT_TRUE(recorder_.AwaitEvents(Kind::kStartedOver, 1));
  EXPECT_EQ(recorder_.events(Kind::kStartedOver)[0].code, StatusCode::kResourceExhausted);
  ASSERT_TRUE(AwaitVersion(3));
  EXPECT_TRUE(watch_->status().ok());
}

// 12. The end.

// Tells when the thread that it was made on has ended.
struct ThreadEnd {
  ~ThreadEnd() {
    if (over != nullptr) *over = true;
  }
  std::atomic<bool>* over = nullptr;
};
thread_local ThreadEnd thread_end;

TEST_F(ClientLibraryTest, CloseWaitsForTheCallbackAndForTheThreads) {
  server_.Play(Open(SnapshotOf(App(1, "one"))));
  std::atomic<bool> worker_over = false, follower_over = false, returned = false;
  std::promise<void> go_on;
  std::shared_future<void> may_go_on(go_on.get_future());
  recorder_.ListenTo(&options_, [&, may_go_on](const Change&) {
    thread_end.over = &worker_over;
    may_go_on.wait();
    std::this_thread::sleep_for(milliseconds(50));
    returned = true;
    return Status();
  });
  options_.log = [&](const Event& event) {
    if (event.kind == Kind::kConnected) thread_end.over = &follower_over;
  };
  Watch watch(Client(server_.address()), options_);
  ASSERT_TRUE(recorder_.AwaitChanges(1));
  go_on.set_value();
  watch.Close();
  EXPECT_TRUE(returned);
  EXPECT_TRUE(worker_over);
  EXPECT_TRUE(follower_over);
  EXPECT_EQ(*watch.Current()->Find("a")->content, "one");
  EXPECT_TRUE(watch.status().ok());
  EXPECT_EQ(watch.Report(*watch.Current(), Outcome::kApplied).code(), StatusCode::kCancelled);
  watch.Close();
}

TEST_F(ClientLibraryTest, CloseEndsTheStream) {
  server_.Play(Open(SnapshotOf(App(1, "one"))));
  ASSERT_TRUE(Follow().Wait(kPatience).status.ok());
  watch_->Close();
  // Its handler ends only if the client has left: this would wait for it otherwise.
  server_.Stop();
  EXPECT_THAT(server_.requests(), SizeIs(1));
}

TEST_F(ClientLibraryTest, AClosedWatchHoldsNoConnection) {
  const auto sockets = [] {
    int found = 0;
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
      std::error_code gone;
      const std::string target = std::filesystem::read_symlink(entry, gone).string();
      if (target.rfind("socket:", 0) == 0) ++found;
    }
    return found;
  };
  server_.Play(Open(SnapshotOf(App(1, "one"))));
  const int before = sockets();
  ASSERT_TRUE(Follow().Wait(kPatience).status.ok());
  ASSERT_GT(sockets(), before);
  watch_->Close();
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (sockets() > before && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(milliseconds(10));
  }
  EXPECT_LE(sockets(), before);
  EXPECT_EQ(watch_->Current()->version, 1);
}

TEST_F(ClientLibraryTest, TheCallbackMayCloseTheWatchAndNoneFollows) {
  server_.Play(Open(Then(SnapshotOf(App(1, "one")), SnapshotOf(App(2, "two")))));
  std::promise<Watch*> made;
  std::shared_future<Watch*> watch(made.get_future());
  recorder_.ListenTo(&options_, [watch](const Change&) {
    watch.get()->Close();
    return Status();
  });
  made.set_value(&Follow());
  ASSERT_TRUE(recorder_.AwaitChanges(1));
  watch_->Close();
  EXPECT_THAT(recorder_.changes(), SizeIs(1));
}

TEST_F(ClientLibraryTest, TheCallbackMayDestroyTheWatch) {
  server_.Play(Open(SnapshotOf(App(1, "one"))));
  std::promise<void> made;
  std::shared_future<void> is_made(made.get_future());
  auto held = std::make_shared<int>();
  const std::weak_ptr<int> holds = held;
  recorder_.ListenTo(&options_, [this, is_made, held](const Change&) {
    is_made.wait();
    watch_.reset();
    return Status();
  });
  Follow();
  options_.on_change = nullptr;
  held.reset();
  made.set_value();
  // What the threads share goes with them.
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (!holds.expired() && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(milliseconds(1));
  }
  EXPECT_TRUE(holds.expired());
}

TEST_F(ClientLibraryTest, CloseWakesWhoWaits) {
  server_.Play(Open({}));
  Watch& watch = Follow();
  auto waited = std::async(std::launch::async, [&] { return watch.Wait(kPatience).status; });
  ASSERT_TRUE(server_.AwaitRequests(1));
  watch.Close();
  EXPECT_EQ(waited.get().code(), StatusCode::kCancelled);
}

TEST_F(ClientLibraryTest, AReportUnderWayDoesNotHoldUpTheEnd) {
  server_.Play(Open(SnapshotOf(App(1, "one"))));
  server_.HoldReports();
  Record();
  ASSERT_TRUE(server_.AwaitHeldReport());
  const auto begin = std::chrono::steady_clock::now();
  watch_->Close();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, seconds(4));
}

// What else a program can rely on.

TEST_F(ClientLibraryTest, TheRequestSaysWhatTheOptionsSay) {
  options_.path_globs = {"*.yaml", "certs/**"};
  options_.heartbeat = milliseconds(1500);
  options_.min_update_interval = seconds(2);
  options_.client_id = "payments";
  options_.labels = {{"pod", "payments-7"}};
  server_.Play(Open({}));
  server_.Play(Open({}));
  Follow();
  ASSERT_TRUE(server_.AwaitRequests(1));
  const v1::WatchRequest request = server_.requests()[0];
  EXPECT_EQ(request.source(), "app");
  EXPECT_THAT(request.path_globs(), ElementsAre("*.yaml", "certs/**"));
  EXPECT_EQ(request.mode(), v1::WATCH_MODE_DELTA);
  EXPECT_EQ(request.heartbeat_interval().seconds(), 1);
  EXPECT_EQ(request.heartbeat_interval().nanos(), 500'000'000);
  EXPECT_EQ(request.min_update_interval().seconds(), 2);
  EXPECT_EQ(request.client_id(), "payments");
  EXPECT_THAT(request.labels(), UnorderedElementsAre(Pair("pod", "payments-7")));

  options_.client_id = "";
  options_.mode = WatchMode::kSnapshot;
  Follow();
  ASSERT_TRUE(server_.AwaitRequests(2));
  EXPECT_EQ(server_.requests()[1].client_id(), program_invocation_short_name);
  EXPECT_EQ(server_.requests()[1].mode(), v1::WATCH_MODE_SNAPSHOT);
}

TEST_F(ClientLibraryTest, WatchesShareAClientAndOutliveIt) {
  server_.Play(Open(SnapshotOf(App(1, "one"))));
  server_.Play(Open(SnapshotOf(App(1, "one"))));
  auto client = std::make_unique<Client>(server_.address());
  Watch first(*client, options_);
  ASSERT_TRUE(first.Wait(kPatience).status.ok());
  Watch second(*client, options_);
  client.reset();
  EXPECT_TRUE(second.Wait(kPatience).status.ok());
}

TEST_F(ClientLibraryTest, AMovedWatchGoesOnAndTheOneBeforeIsClosed) {
  server_.Play(Open(SnapshotOf(App(1, "one"))));
  server_.Play(Open(SnapshotOf(App(2, "two"))));
  const Client client(server_.address());
  Watch watch(client, options_);
  ASSERT_TRUE(watch.Wait(kPatience).status.ok());
  Watch other(client, options_);
  ASSERT_TRUE(other.Wait(kPatience).status.ok());
  const int64_t version = other.Current()->version;
  watch = std::move(other);
  EXPECT_EQ(watch.Current()->version, version);
}

TEST_F(ClientLibraryTest, FollowsOverAUnixSocket) {
  const std::string address = "unix:" + cache_.Path("socket");
  ScriptedConfigService server(address, {Open(SnapshotOf(App(1, "one")))});
  Watch watch(Client(address), options_);
  EXPECT_TRUE(watch.Wait(kPatience).status.ok());
}

TEST(StatusCodeTest, HasTheNamesAndNumbersOfGrpc) {
  EXPECT_EQ(StatusCodeName(StatusCode::kOk), "OK");
  EXPECT_EQ(StatusCodeName(StatusCode::kUnauthenticated), "UNAUTHENTICATED");
  for (int code = 0; code <= 16; ++code) {
    EXPECT_EQ(std::string(StatusCodeName(static_cast<StatusCode>(code))),
              absl::StatusCodeToString(static_cast<absl::StatusCode>(code)));
  }
  EXPECT_EQ(static_cast<int>(StatusCode::kNotFound), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(StatusCodeName(static_cast<StatusCode>(99)), "UNKNOWN");
}

}  // namespace
}  // namespace confstream
