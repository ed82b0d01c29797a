// The control plane, over a real connection; what it asks of sources is recorded.

#include "server/serve/admin_service.h"

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "server/base/error_reason.h"
#include "server/serve/paging.h"
#include "tests/fakes/fake_history.h"
#include "tests/fakes/in_process_server.h"
#include "tests/fakes/snapshots.h"

namespace confstream {
namespace {

// Answers with `result`, and remembers what it was asked.
class RecordingControl final : public SourceControl {
 public:
  absl::StatusOr<ControlResult> Rollback(const RollbackOrder& asked) override {
    ++rollbacks;
    order = asked;
    while (slow) absl::SleepFor(absl::Milliseconds(1));
    return result;
  }
  absl::StatusOr<ControlResult> Unpin(const std::string& /*source*/) override { return result; }
  absl::StatusOr<std::shared_ptr<const SourceState>> Reload(const std::string& /*source*/,
                                                            absl::Duration asked) override {
    timeout = asked;
    if (!result.ok()) return result.status();
    return result->state;
  }
  absl::StatusOr<SourceConfig> Config(const std::string& source) override {
    if (source != "app") return absl::NotFoundError("no such source");
    return config;
  }
  absl::StatusOr<DryRunResult> DryRun(const std::string& /*source*/, Generation files) override {
    DryRunResult dry_run;
    for (const GenerationFile& file : files.files) {
      absl::StrAppend(&dry_run_files, file.path, "=", file.content->bytes, ";");
      if (file.content->bytes == "bad") {
        dry_run.violations.push_back({file.path, 1, 2, "a.rule", "it is bad"});
        ++dry_run.total;
      }
    }
    return dry_run;
  }

  absl::StatusOr<std::vector<SourceEvent>> Events(const std::string& source) override {
    if (source != "app") return absl::NotFoundError("no such source");
    return events;
  }

  absl::StatusOr<ControlResult> result = absl::UnimplementedError("not set");
  std::vector<SourceEvent> events;
  SourceConfig config;
  RollbackOrder order;
  absl::Duration timeout;
  std::string dry_run_files;
  std::atomic<int> rollbacks = 0;
  std::atomic<bool> slow = false;
};

class AdminServiceTest : public testing::Test {
 protected:
  AdminServiceTest() {
    hub_.Update(WaitingState());
    auto server =
        GrpcServer::Start({{"127.0.0.1:0"}, "--listen", 100, 4},
                          {&clock_, &hub_, &reloads_, absl::Seconds(30)}, &plane_, &health_);
    EXPECT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    stub_ = v1::ConfigAdminService::NewStub(
        grpc::CreateChannel(server_->addresses()[0], grpc::InsecureChannelCredentials()));
  }
  ~AdminServiceTest() override {
    health_.Drain();
    server_->Shutdown(absl::Seconds(5));
  }

  void Publish(int64_t version, const Files& files) {
    const auto snapshot = MakeSnapshot(version, files);
    history_->Add(snapshot);
    hub_.Update(ServingState(snapshot, history_));
  }

  template <typename Request, typename Response>
  grpc::Status Call(grpc::Status (v1::ConfigAdminService::StubInterface::*method)(
                        grpc::ClientContext*, const Request&, Response*),
                    const Request& request, Response* response) {
    grpc::ClientContext context;
    response->Clear();
    return (static_cast<v1::ConfigAdminService::StubInterface*>(stub_.get())->*method)(
        &context, request, response);
  }
  static std::vector<std::string> Told(const v1::DiffSnapshotsResponse& page) {
    std::vector<std::string> told;
    for (const v1::FileChange& change : page.changes()) {
      told.push_back(absl::StrCat(change.path(), " ", change.from_file().content(), " ",
                                  change.to_file().content()));
    }
    return told;
  }

  using Stub = v1::ConfigAdminService::StubInterface;
  using Lines = std::vector<std::string>;

  const SystemClock clock_;
  WatchHub hub_{&clock_, {100, 100, int64_t{1} << 20}};
  const std::shared_ptr<FakeHistory> history_ = std::make_shared<FakeHistory>();
  RecordingControl control_;
  HealthReporter health_;
  const ConfigReloads reloads_{absl::UnixEpoch()};
  ControlPlane plane_{&hub_, &control_};
  std::unique_ptr<GrpcServer> server_;
  std::unique_ptr<v1::ConfigAdminService::Stub> stub_;
};

TEST_F(AdminServiceTest, VersionsAreListedNewestFirstInPages) {
  for (int version = 1; version <= 5; ++version) Publish(version, {{"a", absl::StrCat(version)}});
  v1::ListSnapshotsRequest request;
  request.set_source("app");
  request.set_page_size(2);
  v1::ListSnapshotsResponse page;
  std::vector<int64_t> listed;
  do {
    ASSERT_TRUE(Call(&Stub::ListSnapshots, request, &page).ok());
    EXPECT_LE(page.snapshots_size(), 2);
    for (const auto& snapshot : page.snapshots()) listed.push_back(snapshot.header().version());
    request.set_page_token(page.next_page_token());
  } while (!page.next_page_token().empty());
  EXPECT_EQ(listed, (std::vector<int64_t>{5, 4, 3, 2, 1}));

  // The last two are made as ours are, and no version.
  for (const std::string& token :
       {std::string("nonsense"), absl::WebSafeBase64Escape("-1"), absl::WebSafeBase64Escape("3"),
        EncodePageToken({"-1"}), EncodePageToken({"app"})}) {
    request.set_page_token(token);
    EXPECT_EQ(DetailsOf(Call(&Stub::ListSnapshots, request, &page)).reason, kInvalidRequest)
        << token;
  }
  request.clear_page_token();
  request.set_page_size(1001);
  EXPECT_EQ(DetailsOf(Call(&Stub::ListSnapshots, request, &page)).reason, kInvalidRequest);
  request.set_page_size(0);
  request.set_source("other");
  EXPECT_EQ(DetailsOf(Call(&Stub::ListSnapshots, request, &page)).reason, kSourceNotFound);
}

TEST_F(AdminServiceTest, DiffComparesTheCurrentVersionWithTheOneBeforeUnlessToldOtherwise) {
  Publish(1, {{"a", "1"}, {"b", "1"}});
  Publish(4, {{"a", "1"}, {"b", "4"}});
  Publish(5, {{"a", "1"}, {"b", "5"}, {"c", "5"}});
  v1::DiffSnapshotsRequest request;
  request.set_source("app");
  request.set_include_content(true);
  v1::DiffSnapshotsResponse page;
  ASSERT_TRUE(Call(&Stub::DiffSnapshots, request, &page).ok());
  EXPECT_EQ(page.from().version(), 4);
  EXPECT_EQ(page.to().version(), 5);
  EXPECT_EQ(Told(page), (Lines{"b 4 5", "c  5"}));
  request.set_from_version(1);
  request.set_to_version(4);
  ASSERT_TRUE(Call(&Stub::DiffSnapshots, request, &page).ok());
  EXPECT_EQ(Told(page), (Lines{"b 1 4"}));
  request.set_from_version(0);
  request.set_to_version(1);
  ASSERT_TRUE(Call(&Stub::DiffSnapshots, request, &page).ok());
  EXPECT_FALSE(page.has_from()) << "there is none before";
  EXPECT_EQ(Told(page), (Lines{"a  1", "b  1"}));
  request.set_to_version(3);
  EXPECT_EQ(DetailsOf(Call(&Stub::DiffSnapshots, request, &page)).reason, kVersionNotRetained);
}

TEST_F(AdminServiceTest, LaterPagesOfADiffAreOfTheSameVersionsWhateverIsPublishedMeanwhile) {
  Publish(1, {});
  Publish(2, {{"a", "2"}, {"b", "2"}, {"c", "2"}});
  v1::DiffSnapshotsRequest request;
  request.set_source("app");
  request.set_page_size(2);
  v1::DiffSnapshotsResponse page;
  ASSERT_TRUE(Call(&Stub::DiffSnapshots, request, &page).ok());
  EXPECT_EQ(page.changes_size(), 2);
  Publish(3, {});
  request.set_page_token(page.next_page_token());
  ASSERT_TRUE(Call(&Stub::DiffSnapshots, request, &page).ok());
  ASSERT_EQ(page.changes_size(), 1);
  EXPECT_EQ(page.changes(0).path(), "c");
  EXPECT_EQ(page.to().version(), 2);
  EXPECT_EQ(page.next_page_token(), "");
}

TEST_F(AdminServiceTest, DiffLeavesOutContentOfLargeFilesAndKeepsPagesSmall) {
  Files files;
  for (int i = 0; i < 30; ++i) files[absl::StrCat("file", 10 + i)] = std::string(200 << 10, 'x');
  files["large"] = std::string((256 << 10) + 1, 'x');
  Publish(1, files);
  v1::DiffSnapshotsRequest request;
  request.set_source("app");
  request.set_include_content(true);
  v1::DiffSnapshotsResponse page;
  int changes = 0;
  int pages = 0;
  do {
    ASSERT_TRUE(Call(&Stub::DiffSnapshots, request, &page).ok());
    EXPECT_LT(page.ByteSizeLong(), size_t{4} << 20);
    for (const v1::FileChange& change : page.changes()) {
      ++changes;
      EXPECT_EQ(change.content_omitted(), change.path() == "large");
      EXPECT_EQ(change.to_file().content().empty(), change.path() == "large");
    }
    request.set_page_token(page.next_page_token());
    ++pages;
  } while (!page.next_page_token().empty());
  EXPECT_EQ(changes, 31);
  EXPECT_GT(pages, 2);
}

TEST_F(AdminServiceTest, RollbackIsHandedOnAndItsAnswerToo) {
  const auto state = ServingState(MakeSnapshot(7, {{"a", "1"}}));
  state->status.pin = Pin{3, absl::FromUnixSeconds(9), absl::InfiniteFuture(), "why", {}, {}};
  control_.result = ControlResult{state, true};
  v1::RollbackSnapshotRequest request;
  request.set_source("app");
  request.set_version(3);
  request.set_expected_version(6);
  request.set_reason("why");
  request.mutable_expire_after()->set_seconds(60);
  v1::RollbackSnapshotResponse answer;
  ASSERT_TRUE(Call(&Stub::RollbackSnapshot, request, &answer).ok());
  EXPECT_EQ(control_.order.version, 3);
  EXPECT_EQ(control_.order.expected_version, 6);
  EXPECT_EQ(control_.order.expire_after, absl::Minutes(1));
  EXPECT_EQ(answer.header().version(), 7);
  EXPECT_EQ(answer.pin().version(), 3);
  EXPECT_FALSE(answer.pin().has_expire_time());
  EXPECT_TRUE(answer.persisted());
}

TEST_F(AdminServiceTest, CallWhoseCallerHasLeftWhileItWaitedIsNotMade) {
  control_.result = ControlResult{ServingState(MakeSnapshot(7, {{"a", "1"}})), true};
  control_.slow = true;
  v1::RollbackSnapshotRequest request;
  request.set_source("app");
  request.set_version(3);
  const auto roll_back = [&] {
    v1::RollbackSnapshotResponse answer;
    EXPECT_TRUE(Call(&Stub::RollbackSnapshot, request, &answer).ok());
  };
  std::thread first(roll_back);
  std::thread second(roll_back);
  while (control_.rollbacks < 2) absl::SleepFor(absl::Milliseconds(1));  // no thread is free now
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + absl::Milliseconds(50)));
  v1::RollbackSnapshotResponse answer;
  EXPECT_EQ(stub_->RollbackSnapshot(&context, request, &answer).error_code(),
            grpc::StatusCode::DEADLINE_EXCEEDED);
  // What the same connection brings later is answered after the server knows.
  v1::ListSnapshotsRequest list;
  list.set_source("app");
  v1::ListSnapshotsResponse listed;
  EXPECT_TRUE(Call(&Stub::ListSnapshots, list, &listed).ok());
  control_.slow = false;
  first.join();
  second.join();
  roll_back();
  EXPECT_EQ(control_.rollbacks, 3);
}

TEST_F(AdminServiceTest, BadRollbacksAreRefusedBeforeAnythingIsAsked) {
  v1::RollbackSnapshotRequest good;
  good.set_source("app");
  good.set_version(3);
  const std::vector<std::function<void(v1::RollbackSnapshotRequest*)>> faults = {
      [](auto* request) { request->set_version(0); },
      [](auto* request) { request->set_version(-1); },
      [](auto* request) { request->set_expected_version(-1); },
      [](auto* request) { request->set_reason(std::string(1025, 'x')); },
      [](auto* request) { request->mutable_expire_after()->set_seconds(-1); },
      [](auto* request) { request->mutable_expire_after()->set_seconds(int64_t{1} << 40); },
  };
  for (const auto& fault : faults) {
    v1::RollbackSnapshotRequest request = good;
    fault(&request);
    v1::RollbackSnapshotResponse answer;
    EXPECT_EQ(DetailsOf(Call(&Stub::RollbackSnapshot, request, &answer)).reason, kInvalidRequest)
        << request.ShortDebugString();
  }
  EXPECT_EQ(control_.order.version, 0);
}

TEST_F(AdminServiceTest, ReloadWaitsNoLongerThanItsCallerAndAtMostHalfAMinute) {
  control_.result = ControlResult{ServingState(MakeSnapshot(7, {{"a", "1"}})), false};
  v1::ReloadSourceRequest request;
  request.set_source("app");
  v1::ReloadSourceResponse answer;
  ASSERT_TRUE(Call(&Stub::ReloadSource, request, &answer).ok());
  EXPECT_EQ(answer.header().version(), 7);
  EXPECT_LE(control_.timeout, absl::Seconds(30));
  EXPECT_GT(control_.timeout, absl::Seconds(25));
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + absl::Seconds(20)));
  ASSERT_TRUE(stub_->ReloadSource(&context, request, &answer).ok());
  EXPECT_LT(control_.timeout, absl::Seconds(25)) << "gRPC adds a little to the 20 s";
}

TEST_F(AdminServiceTest, ValidateTakesFilesOverManyMessagesAndTellsViolations) {
  v1::ValidateSnapshotResponse answer;
  grpc::ClientContext context;
  auto writer = stub_->ValidateSnapshot(&context, &answer);
  v1::ValidateSnapshotRequest message;
  message.set_source("app");
  ASSERT_TRUE(writer->Write(message));
  message.Clear();
  v1::ConfigFile* part = message.add_files();
  part->set_path("b");
  part->set_content("ba");
  part->set_size_bytes(3);
  ASSERT_TRUE(writer->Write(message));
  part->set_content("d");
  part->set_content_offset(2);
  v1::ConfigFile* other = message.add_files();
  other->set_path("a");
  other->set_content("good");
  ASSERT_TRUE(writer->Write(message));
  writer->WritesDone();
  const grpc::Status status = writer->Finish();
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(control_.dry_run_files, "a=good;b=bad;");
  EXPECT_FALSE(answer.valid());
  EXPECT_EQ(answer.violations_total(), 1);
  ASSERT_EQ(answer.violations_size(), 1);
  EXPECT_EQ(answer.violations(0).path(), "b");
}

TEST_F(AdminServiceTest, ValidateIsRefusedWithoutASourceOrWithHalfAFile) {
  const auto ending = [this](const std::vector<v1::ValidateSnapshotRequest>& messages) {
    v1::ValidateSnapshotResponse answer;
    grpc::ClientContext context;
    auto writer = stub_->ValidateSnapshot(&context, &answer);
    for (const auto& message : messages) writer->Write(message);
    writer->WritesDone();
    return writer->Finish();
  };
  EXPECT_EQ(DetailsOf(ending({})).reason, kInvalidRequest);
  v1::ValidateSnapshotRequest message;
  message.set_source("other");
  EXPECT_EQ(ending({message}).error_code(), grpc::StatusCode::NOT_FOUND);
  message.set_source("app");
  v1::ConfigFile* part = message.add_files();
  part->set_path("a");
  part->set_content("1");
  part->set_size_bytes(2);
  EXPECT_EQ(DetailsOf(ending({message})).reason, kInvalidRequest);
}

TEST_F(AdminServiceTest, EventsComeAsTheyWereNotedOldestFirst) {
  control_.events = {
      {SourceEvent::kHint, "..data was replaced", 0, 3, absl::FromUnixSeconds(5)},
      {SourceEvent::kVersion, "published", 7, 1, absl::FromUnixSeconds(6)},
  };
  grpc::ClientContext context;
  v1::ListEventsRequest request;
  request.set_source("app");
  v1::ListEventsResponse response;
  ASSERT_TRUE(stub_->ListEvents(&context, request, &response).ok());
  ASSERT_EQ(response.events_size(), 2);
  EXPECT_EQ(response.events(0).kind(), v1::SOURCE_EVENT_KIND_HINT);
  EXPECT_EQ(response.events(0).detail(), "..data was replaced");
  EXPECT_EQ(response.events(0).count(), 3);
  EXPECT_EQ(response.events(0).event_time().seconds(), 5);
  EXPECT_EQ(response.events(1).kind(), v1::SOURCE_EVENT_KIND_VERSION);
  EXPECT_EQ(response.events(1).version(), 7);

  grpc::ClientContext other;
  request.set_source("nobody");
  EXPECT_EQ(stub_->ListEvents(&other, request, &response).error_code(),
            grpc::StatusCode::NOT_FOUND);
}

}  // namespace
}  // namespace confstream
