// The unary calls, over a real connection.

#include "server/serve/config_service.h"

#include <gtest/gtest.h>

#include <set>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "server/base/error_reason.h"
#include "server/serve/paging.h"
#include "tests/fakes/fake_history.h"
#include "tests/fakes/in_process_server.h"

namespace confstream {
namespace {

class ConfigServiceTest : public testing::Test {
 protected:
  grpc::Status Get(const v1::GetSnapshotRequest& request) {
    grpc::ClientContext context;
    got_.Clear();
    return server_.stub().GetSnapshot(&context, request, &got_);
  }
  grpc::Status List(const v1::ListSourcesRequest& request) {
    grpc::ClientContext context;
    listed_.Clear();
    return server_.stub().ListSources(&context, request, &listed_);
  }
  static v1::GetSnapshotRequest Of(const std::string& source) {
    v1::GetSnapshotRequest request;
    request.set_source(source);
    return request;
  }
  std::vector<std::string> ListedNames() const {
    std::vector<std::string> names;
    for (const auto& source : listed_.sources()) names.push_back(source.header().source());
    return names;
  }

  InProcessServer server_;
  v1::GetSnapshotResponse got_;
  v1::ListSourcesResponse listed_;
};

const Files kFiles = {{"a.yaml", "port: 80\n"}, {"b.json", "{}"}};

TEST_F(ConfigServiceTest, GetReturnsTheWholeSnapshot) {
  server_.Publish(3, kFiles);
  ASSERT_TRUE(Get(Of("app")).ok());
  EXPECT_EQ(got_.header().version(), 3);
  EXPECT_FALSE(got_.unchanged());
  ASSERT_EQ(got_.snapshot().files_size(), 2);
  EXPECT_EQ(got_.snapshot().files(0).path(), "a.yaml");
  EXPECT_EQ(got_.snapshot().files(0).content(), "port: 80\n");
  EXPECT_EQ(got_.snapshot().view_digest(), DigestOf(MakeGeneration(kFiles)).Text());
  EXPECT_EQ(got_.header().digest(), got_.snapshot().view_digest());
}

TEST_F(ConfigServiceTest, GetOfAVersionThatIsCurrentIsTheSame) {
  server_.Publish(3, kFiles);
  v1::GetSnapshotRequest request = Of("app");
  request.set_version(3);
  ASSERT_TRUE(Get(request).ok());
  EXPECT_EQ(got_.snapshot().files_size(), 2);
}

TEST_F(ConfigServiceTest, GetReturnsWhatTheGlobsSelectAndNamesThoseThatSelectNothing) {
  server_.Publish(3, kFiles);
  v1::GetSnapshotRequest request = Of("app");
  request.add_path_globs("*.yaml");
  request.add_path_globs("*.toml");
  ASSERT_TRUE(Get(request).ok());
  ASSERT_EQ(got_.snapshot().files_size(), 1);
  EXPECT_EQ(got_.snapshot().files(0).path(), "a.yaml");
  ASSERT_EQ(got_.snapshot().missing_globs_size(), 1);
  EXPECT_EQ(got_.snapshot().missing_globs(0), "*.toml");
}

TEST_F(ConfigServiceTest, MetadataLeavesTheContentOutAndNothingElse) {
  server_.Publish(3, kFiles);
  v1::GetSnapshotRequest request = Of("app");
  request.set_view(v1::SNAPSHOT_VIEW_METADATA);
  ASSERT_TRUE(Get(request).ok());
  const v1::ConfigFile& file = got_.snapshot().files(0);
  EXPECT_EQ(file.content(), "");
  EXPECT_EQ(file.size_bytes(), 9);
  EXPECT_EQ(file.digest(), Sha256::Of("port: 80\n").Text());
  EXPECT_EQ(file.last_changed_version(), 3);
}

TEST_F(ConfigServiceTest, GetOfWhatTheClientHoldsIsUnchanged) {
  server_.Publish(3, kFiles);
  v1::GetSnapshotRequest request = Of("app");
  ASSERT_TRUE(Get(request).ok());
  request.set_if_digest_not(got_.snapshot().view_digest());
  ASSERT_TRUE(Get(request).ok());
  EXPECT_TRUE(got_.unchanged());
  EXPECT_FALSE(got_.has_snapshot());
  EXPECT_EQ(got_.header().version(), 3);
  server_.Publish(4, {{"a.yaml", "port: 81\n"}});
  ASSERT_TRUE(Get(request).ok());
  EXPECT_FALSE(got_.unchanged());
  EXPECT_EQ(got_.header().version(), 4);
}

TEST_F(ConfigServiceTest, TokenOfGetContinuesWithWatch) {
  server_.Publish(3, kFiles);
  v1::GetSnapshotRequest request = Of("app");
  request.add_path_globs("*.yaml");
  ASSERT_TRUE(Get(request).ok());
  v1::WatchRequest watch;
  watch.set_source("app");
  watch.add_path_globs("*.yaml");
  watch.set_resume_token(got_.header().resume_token());
  watch.set_until_in_sync(true);
  grpc::ClientContext context;
  const auto stream = server_.stub().Watch(&context, watch);
  v1::WatchResponse first;
  ASSERT_TRUE(stream->Read(&first));
  EXPECT_EQ(first.event_case(), v1::WatchResponse::kHeartbeat);
  EXPECT_TRUE(first.in_sync());
  EXPECT_FALSE(stream->Read(&first));
  EXPECT_TRUE(stream->Finish().ok());
}

TEST_F(ConfigServiceTest, WhatDoesNotFitOneMessageIsRefusedWithAPointerToWatch) {
  server_.Publish(1, {{"big", std::string(size_t{4} << 20, 'x')}});
  const grpc::Status status = Get(Of("app"));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(DetailsOf(status).reason, kSnapshotTooLarge);
  EXPECT_NE(status.error_message().find("until_in_sync"), std::string::npos);
  v1::GetSnapshotRequest metadata = Of("app");
  metadata.set_view(v1::SNAPSHOT_VIEW_METADATA);
  EXPECT_TRUE(Get(metadata).ok()) << "without the content it fits";
}

TEST_F(ConfigServiceTest, SnapshotsAroundTheLargestMessageArriveOrAreRefusedByTheServer) {
  // Never refused by the client, whose error would name no remedy.
  int arrived = 0;
  int refused = 0;
  for (int64_t version = 1; version <= 40; ++version) {
    const size_t size = (size_t{4} << 20) - (size_t{1} << 10) * static_cast<size_t>(version);
    server_.Publish(version, {{"big", std::string(size, 'x')}});
    const grpc::Status status = Get(Of("app"));
    if (status.ok()) {
      ++arrived;
      EXPECT_EQ(got_.snapshot().files(0).content().size(), size);
    } else {
      ++refused;
      EXPECT_EQ(DetailsOf(status).reason, kSnapshotTooLarge) << status.error_message();
    }
  }
  EXPECT_GT(arrived, 0);
  EXPECT_GT(refused, 0);
}

TEST_F(ConfigServiceTest, ManySmallFilesThatDoNotFitAreRefusedEvenAsMetadata) {
  Files files;
  for (int i = 0; i < 20000; ++i) files.emplace(absl::StrCat(std::string(200, 'p'), i), "");
  server_.Publish(1, files);
  v1::GetSnapshotRequest request = Of("app");
  request.set_view(v1::SNAPSHOT_VIEW_METADATA);
  EXPECT_EQ(DetailsOf(Get(request)).reason, kSnapshotTooLarge);
}

TEST_F(ConfigServiceTest, GetErrorsHaveTheDocumentedCodesAndReasons) {
  const grpc::Status waiting = Get(Of("app"));
  EXPECT_EQ(waiting.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(DetailsOf(waiting).reason, kNoSnapshotYet);
  EXPECT_TRUE(DetailsOf(waiting).retry_delay.has_value());

  server_.hub().Update(RefusedState(nullptr, "mapping values are not allowed"));
  EXPECT_NE(Get(Of("app")).error_message().find("a.yaml:3:7: yaml.syntax: mapping values"),
            std::string::npos);

  const grpc::Status unknown = Get(Of("no-such"));
  EXPECT_EQ(unknown.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(DetailsOf(unknown).reason, kSourceNotFound);

  server_.Publish(3, kFiles);
  v1::GetSnapshotRequest request = Of("app");
  request.set_version(2);
  const grpc::Status old = Get(request);
  EXPECT_EQ(old.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(DetailsOf(old).reason, kVersionNotRetained);
}

class RetainedVersionsTest : public ConfigServiceTest {
 protected:
  // Versions 3 to 6, of which 3 is dropped.
  void PublishFour(bool sensitive = false) {
    for (int64_t version = 3; version <= 6; ++version) {
      const auto snapshot = MakeSnapshot(version, {{"a", absl::StrCat(version)}});
      history_->Add(snapshot);
      auto state = ServingState(snapshot, history_);
      state->sensitive = sensitive;
      server_.hub().Update(state);
    }
    history_->DropUpTo(3);
  }
  grpc::Status GetVersion(int64_t version) {
    v1::GetSnapshotRequest request = Of("app");
    request.set_version(version);
    return Get(request);
  }

  const std::shared_ptr<FakeHistory> history_ = std::make_shared<FakeHistory>();
};

TEST_F(RetainedVersionsTest, RetainedVersionIsGivenOutWithItsOwnHeader) {
  PublishFour();
  ASSERT_TRUE(GetVersion(4).ok());
  EXPECT_EQ(got_.header().version(), 4);
  EXPECT_EQ(got_.snapshot().files(0).content(), "4");
  EXPECT_EQ(got_.header().digest(), DigestOf(MakeGeneration({{"a", "4"}})).Text());
  ASSERT_TRUE(GetVersion(0).ok());
  EXPECT_EQ(got_.header().version(), 6);
}

TEST_F(RetainedVersionsTest, TokenOfARetainedVersionStartsAWatchOfEveryVersionThere) {
  PublishFour();
  ASSERT_TRUE(GetVersion(4).ok());
  v1::WatchRequest watch;
  watch.set_source("app");
  watch.set_resume_token(got_.header().resume_token());
  watch.set_every_version(true);
  watch.set_until_in_sync(true);
  grpc::ClientContext context;
  const auto stream = server_.stub().Watch(&context, watch);
  std::vector<int64_t> versions;
  v1::WatchResponse response;
  while (stream->Read(&response)) versions.push_back(response.header().version());
  EXPECT_EQ(versions, (std::vector<int64_t>{5, 6}));
  EXPECT_TRUE(stream->Finish().ok());
}

TEST_F(RetainedVersionsTest, VersionThatIsNotRetainedIsNotFoundAndTheRangeIsNamed) {
  PublishFour();
  for (const int64_t version : {3, 7, 1 << 30}) {
    const grpc::Status status = GetVersion(version);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
    EXPECT_EQ(DetailsOf(status).reason, kVersionNotRetained);
    EXPECT_NE(status.error_message().find("oldest one retained is 4, the newest is 6"),
              std::string::npos)
        << status.error_message();
  }
}

TEST_F(RetainedVersionsTest, OlderVersionsOfASensitiveSourceAreNotGivenOut) {
  PublishFour(true);
  const grpc::Status status = GetVersion(5);
  EXPECT_EQ(DetailsOf(status).reason, kVersionNotRetained);
  EXPECT_NE(status.error_message().find("sensitive"), std::string::npos);
  EXPECT_TRUE(GetVersion(6).ok());
}

// Reports.

TEST_F(ConfigServiceTest, ReportIsTakenForAnOpenStreamAndNotFoundForAnother) {
  server_.Publish(3, kFiles);
  v1::WatchRequest watch;
  watch.set_source("app");
  grpc::ClientContext context;
  const auto stream = server_.stub().Watch(&context, watch);
  v1::WatchResponse first;
  ASSERT_TRUE(stream->Read(&first));
  v1::ReportOutcomeRequest request;
  request.set_watch_id(first.watch_id());
  request.set_version(3);
  request.set_outcome(v1::OUTCOME_REJECTED);
  request.set_reason("port 80 is taken");
  const auto report = [&] {
    grpc::ClientContext report_context;
    v1::ReportOutcomeResponse response;
    return server_.stub().ReportOutcome(&report_context, request, &response);
  };
  ASSERT_TRUE(report().ok());
  const auto listed = server_.hub().ListWatchers("app", {}, 10);
  ASSERT_EQ(listed->size(), 1u);
  EXPECT_EQ(listed->front().last_rejection().reason(), "port 80 is taken");

  request.set_version(4);
  EXPECT_EQ(report().error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(DetailsOf(report()).reason, kInvalidRequest);
  request.set_watch_id("no-such");
  EXPECT_EQ(report().error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(DetailsOf(report()).reason, kWatchNotFound);
  context.TryCancel();
}

TEST_F(ConfigServiceTest, BadGetRequestsAreInvalid) {
  server_.Publish(3, kFiles);
  v1::GetSnapshotRequest glob = Of("app");
  glob.add_path_globs("a\\");
  v1::GetSnapshotRequest globs = Of("app");
  for (int i = 0; i < 65; ++i) globs.add_path_globs(absl::StrCat("file", i));
  v1::GetSnapshotRequest view = Of("app");
  view.set_view(static_cast<v1::SnapshotView>(9));
  v1::GetSnapshotRequest version = Of("app");
  version.set_version(-1);
  for (const v1::GetSnapshotRequest& request : {Of(""), glob, globs, view, version}) {
    const grpc::Status status = Get(request);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << request.DebugString();
    EXPECT_EQ(DetailsOf(status).reason, kInvalidRequest);
  }
}

// Lists.

TEST_F(ConfigServiceTest, ListTellsOfEverySourceInByteOrder) {
  server_.hub().Update(WaitingState("b"));
  server_.hub().Update(WaitingState("a"));
  server_.Publish(7, kFiles, "b");
  ASSERT_TRUE(List({}).ok());
  EXPECT_EQ(ListedNames(), (std::vector<std::string>{"a", "app", "b"}));
  EXPECT_EQ(listed_.next_page_token(), "");
  const v1::SourceSummary& waiting = listed_.sources(0);
  EXPECT_EQ(waiting.status().state(), v1::SOURCE_STATE_WAITING);
  EXPECT_EQ(waiting.header().version(), 0);
  EXPECT_EQ(waiting.file_count(), 0);
  const v1::SourceSummary& serving = listed_.sources(2);
  EXPECT_EQ(serving.status().state(), v1::SOURCE_STATE_SERVING);
  EXPECT_EQ(serving.status().served_version(), 7);
  EXPECT_EQ(serving.header().version(), 7);
  EXPECT_EQ(serving.header().digest(), DigestOf(MakeGeneration(kFiles)).Text());
  EXPECT_EQ(serving.file_count(), 2);
  EXPECT_EQ(serving.size_bytes(), 11);
}

TEST_F(ConfigServiceTest, EveryPageTellsWhatBecameOfTheConfiguration) {
  server_.Publish(1, kFiles, "b");
  v1::ListSourcesRequest request;
  request.set_page_size(1);
  ASSERT_TRUE(List(request).ok());
  EXPECT_TRUE(listed_.config_status().has_load_time());
  EXPECT_FALSE(listed_.config_status().has_refusal_time());
  server_.reloads().NoteRefused(absl::FromUnixSeconds(200), "confstream.yaml:1: is wrong");
  for (const char* const source : {"app", "b"}) {
    ASSERT_TRUE(List(request).ok());
    EXPECT_EQ(ListedNames(), std::vector<std::string>{source});
    EXPECT_EQ(listed_.config_status().load_time().seconds(), 0);
    EXPECT_EQ(listed_.config_status().refusal_time().seconds(), 200);
    EXPECT_EQ(listed_.config_status().refusal_reason(), "confstream.yaml:1: is wrong");
    request.set_page_token(listed_.next_page_token());
  }
}

TEST_F(ConfigServiceTest, ListOfASourceCarriesATokenForTheWholeOfIt) {
  server_.Publish(7, kFiles);
  ASSERT_TRUE(List({}).ok());
  const std::string token = listed_.sources(0).header().resume_token();
  ASSERT_TRUE(Get(Of("app")).ok());
  EXPECT_EQ(token, got_.header().resume_token());
}

TEST_F(ConfigServiceTest, PagesTogetherAreTheListAndOnlyTheLastHasNoToken) {
  for (int i = 0; i < 6; ++i) server_.hub().Update(WaitingState(absl::StrCat("source", i)));
  v1::ListSourcesRequest request;
  request.set_page_size(3);
  std::vector<std::string> names;
  int pages = 0;
  do {
    ASSERT_TRUE(List(request).ok());
    for (const std::string& name : ListedNames()) names.push_back(name);
    EXPECT_LE(listed_.sources_size(), 3);
    request.set_page_token(listed_.next_page_token());
    ++pages;
  } while (!listed_.next_page_token().empty() && pages < 10);
  EXPECT_EQ(pages, 3);
  EXPECT_EQ(names, server_.hub().SourceNames());
}

TEST_F(ConfigServiceTest, PageGoesOnAfterASourceThatIsGoneByNow) {
  for (const char* name : {"b", "c", "d"}) server_.hub().Update(WaitingState(name));
  v1::ListSourcesRequest request;
  request.set_page_size(2);
  ASSERT_TRUE(List(request).ok());
  EXPECT_EQ(ListedNames(), (std::vector<std::string>{"app", "b"}));
  request.set_page_token(listed_.next_page_token());
  server_.hub().RemoveSource("b");
  ASSERT_TRUE(List(request).ok());
  EXPECT_EQ(ListedNames(), (std::vector<std::string>{"c", "d"}));
  EXPECT_EQ(listed_.next_page_token(), "") << "a full page that is the last";
}

TEST_F(ConfigServiceTest, ListShowsTenViolationsAndCountsAll) {
  auto state = RefusedState(nullptr, "x");
  state->status.violations.resize(100, state->status.violations[0]);
  state->status.violations_total = 5000;
  server_.hub().Update(state);
  ASSERT_TRUE(List({}).ok());
  EXPECT_EQ(listed_.sources(0).status().violations_size(), 10);
  EXPECT_EQ(listed_.sources(0).status().violations_total(), 5000);
}

TEST_F(ConfigServiceTest, ListThatIsLargeComesInSmallerPagesThanAskedFor) {
  const std::string long_message(60'000, 'm');
  for (int i = 0; i < 20; ++i) {
    const std::string name = absl::StrCat("source", i);
    server_.hub().Update(WaitingState(name));
    auto state = RefusedState(nullptr, long_message, name);
    state->status.violations.resize(10, state->status.violations[0]);
    server_.hub().Update(state);
  }
  v1::ListSourcesRequest request;
  request.set_page_size(1000);
  std::set<std::string> names;
  do {
    ASSERT_TRUE(List(request).ok()) << "600 kB a source, 12 MB in all";
    ASSERT_GT(listed_.sources_size(), 0);
    for (const std::string& name : ListedNames()) EXPECT_TRUE(names.insert(name).second);
    request.set_page_token(listed_.next_page_token());
  } while (!listed_.next_page_token().empty());
  EXPECT_EQ(names.size(), 21u);
}

TEST_F(ConfigServiceTest, PageTokenThatTheServerDidNotGiveIsInvalid) {
  for (const char* name : {"b", "c"}) server_.hub().Update(WaitingState(name));
  v1::ListSourcesRequest request;
  request.set_page_size(1);
  ASSERT_TRUE(List(request).ok());
  const std::string given = listed_.next_page_token();
  std::string changed = given;
  changed[3] = changed[3] == 'A' ? 'B' : 'A';
  for (const std::string& token :
       {std::string("!!!"), std::string("xxxx"), std::string("MTIz"), std::string("////"),
        absl::WebSafeBase64Escape("app"), absl::WebSafeBase64Escape(std::string(700'000, 'a')),
        changed, given + "=", given + " ", given.substr(0, 8), EncodePageToken({}),
        EncodePageToken({"app", "b"})}) {
    request.set_page_token(token);
    const grpc::Status status = List(request);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << token.substr(0, 80);
    EXPECT_EQ(DetailsOf(status).reason, kInvalidRequest);
  }
  request.set_page_token(given);
  ASSERT_TRUE(List(request).ok());
  EXPECT_EQ(ListedNames(), (std::vector<std::string>{"b"}));
}

TEST_F(ConfigServiceTest, BadPageSizesAreInvalid) {
  v1::ListSourcesRequest negative;
  negative.set_page_size(-1);
  v1::ListSourcesRequest huge;
  huge.set_page_size(1001);
  for (const v1::ListSourcesRequest& request : {negative, huge}) {
    const grpc::Status status = List(request);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << request.DebugString();
    EXPECT_EQ(DetailsOf(status).reason, kInvalidRequest);
  }
}

}  // namespace
}  // namespace confstream
