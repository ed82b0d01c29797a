#include "server/serve/watch_request.h"

#include <gtest/gtest.h>

#include <functional>

#include "absl/strings/str_cat.h"
#include "server/base/error_reason.h"
#include "tests/fakes/snapshots.h"

namespace confstream {
namespace {

v1::WatchRequest Minimal() {
  v1::WatchRequest request;
  request.set_source("app");
  return request;
}

TEST(ParseWatchRequestTest, MinimalRequestGetsTheDocumentedDefaults) {
  const auto spec = ParseWatchRequest(Minimal());
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->source, "app");
  EXPECT_EQ(spec->view->key(), View::Parse({})->key());
  EXPECT_FALSE(spec->resumes);
  EXPECT_FALSE(spec->token.has_value());
  EXPECT_FALSE(spec->deltas);
  EXPECT_FALSE(spec->every_version);
  EXPECT_FALSE(spec->until_in_sync);
  EXPECT_EQ(spec->heartbeat_interval, absl::Seconds(30));
  EXPECT_EQ(spec->min_update_interval, absl::ZeroDuration());
}

TEST(ParseWatchRequestTest, EverythingThatIsAskedForIsTaken) {
  v1::WatchRequest request = Minimal();
  request.add_path_globs("b/*");
  request.add_path_globs("a");
  const ResumeToken token{kEpochA, 5, Sha256::Of("x"), View::Parse({"a", "b/*"})->HashFor("app")};
  request.set_resume_token(token.Encode());
  request.set_mode(v1::WATCH_MODE_DELTA);
  request.set_every_version(true);
  request.set_until_in_sync(true);
  request.mutable_heartbeat_interval()->set_seconds(1);
  request.mutable_min_update_interval()->set_nanos(250'000'000);
  request.set_client_id("billing");
  (*request.mutable_labels())["pod"] = "billing-7";
  const auto spec = ParseWatchRequest(request);
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->view->key(), View::Parse({"a", "b/*"})->key());
  EXPECT_TRUE(spec->resumes);
  ASSERT_TRUE(spec->token.has_value());
  EXPECT_EQ(spec->token->version, 5);
  EXPECT_TRUE(spec->deltas);
  EXPECT_TRUE(spec->every_version);
  EXPECT_TRUE(spec->until_in_sync);
  EXPECT_EQ(spec->heartbeat_interval, absl::Seconds(1));
  EXPECT_EQ(spec->min_update_interval, absl::Milliseconds(250));
  EXPECT_EQ(spec->client_id, "billing");
  EXPECT_EQ(spec->labels.at("pod"), "billing-7");
}

TEST(ParseWatchRequestTest, TokenThatIsNoneIsNoError) {
  v1::WatchRequest request = Minimal();
  request.set_resume_token("what is this");
  const auto spec = ParseWatchRequest(request);
  ASSERT_TRUE(spec.ok());
  EXPECT_TRUE(spec->resumes);
  EXPECT_FALSE(spec->token.has_value());
}

TEST(ParseWatchRequestTest, HeartbeatIntervalOfZeroMeansNone) {
  v1::WatchRequest request = Minimal();
  request.mutable_heartbeat_interval();
  EXPECT_EQ(ParseWatchRequest(request)->heartbeat_interval, absl::InfiniteDuration());
}

TEST(ParseWatchRequestTest, ModeSnapshotIsTheDefault) {
  v1::WatchRequest request = Minimal();
  request.set_mode(v1::WATCH_MODE_SNAPSHOT);
  EXPECT_FALSE(ParseWatchRequest(request)->deltas);
}

TEST(ParseWatchRequestTest, BoundsThemselvesAreAllowed) {
  v1::WatchRequest request = Minimal();
  request.mutable_heartbeat_interval()->set_seconds(3600);
  request.mutable_min_update_interval()->set_seconds(3600);
  request.set_client_id(std::string(256, 'c'));
  for (int i = 0; i < 16; ++i) {
    (*request.mutable_labels())[absl::StrCat(i, std::string(250, 'k'))] = std::string(256, 'v');
  }
  for (size_t i = 0; i < View::kMaxGlobs; ++i) request.add_path_globs(absl::StrCat("file", i));
  const auto spec = ParseWatchRequest(request);
  EXPECT_TRUE(spec.ok()) << spec.status();
}

struct Refusal {
  const char* name;
  std::function<void(v1::WatchRequest*)> spoil;
  absl::StatusCode code;
  const char* reason;
  const char* says;  // part of the message
};

std::ostream& operator<<(std::ostream& out, const Refusal& refusal) { return out << refusal.name; }

class RefusalTest : public testing::TestWithParam<Refusal> {};

TEST_P(RefusalTest, IsRefusedWithAReasonAndWhatToDo) {
  v1::WatchRequest request = Minimal();
  GetParam().spoil(&request);
  const auto spec = ParseWatchRequest(request);
  EXPECT_EQ(spec.status().code(), GetParam().code);
  EXPECT_EQ(ReasonOf(spec.status()), GetParam().reason);
  EXPECT_NE(spec.status().message().find(GetParam().says), absl::string_view::npos)
      << spec.status();
}

constexpr absl::StatusCode kInvalid = absl::StatusCode::kInvalidArgument;

INSTANTIATE_TEST_SUITE_P(
    ParseWatchRequest, RefusalTest,
    testing::Values(
        Refusal{"NoSource", [](v1::WatchRequest* r) { r->clear_source(); }, kInvalid,
                "INVALID_REQUEST", "source is empty"},
        Refusal{"UnknownMode",
                [](v1::WatchRequest* r) { r->set_mode(static_cast<v1::WatchMode>(17)); }, kInvalid,
                "INVALID_REQUEST", "mode 17"},
        Refusal{"BadGlob", [](v1::WatchRequest* r) { r->add_path_globs("a\\"); }, kInvalid,
                "INVALID_REQUEST", "a\\\\"},
        Refusal{"EmptyGlob", [](v1::WatchRequest* r) { r->add_path_globs(""); }, kInvalid,
                "INVALID_REQUEST", "empty"},
        Refusal{"LongGlob", [](v1::WatchRequest* r) { r->add_path_globs(std::string(1025, 'g')); },
                kInvalid, "INVALID_REQUEST", "1024"},
        Refusal{"TooManyGlobs",
                [](v1::WatchRequest* r) {
                  for (int i = 0; i < 65; ++i) r->add_path_globs(absl::StrCat("file", i));
                },
                kInvalid, "INVALID_REQUEST", "65 path globs"},
        Refusal{
            "HeartbeatTooShort",
            [](v1::WatchRequest* r) { r->mutable_heartbeat_interval()->set_nanos(999'999'999); },
            kInvalid, "INVALID_REQUEST", "heartbeat_interval"},
        Refusal{"HeartbeatTooLong",
                [](v1::WatchRequest* r) {
                  r->mutable_heartbeat_interval()->set_seconds(3600);
                  r->mutable_heartbeat_interval()->set_nanos(1);
                },
                kInvalid, "INVALID_REQUEST", "heartbeat_interval"},
        Refusal{"HeartbeatNegative",
                [](v1::WatchRequest* r) { r->mutable_heartbeat_interval()->set_seconds(-1); },
                kInvalid, "INVALID_REQUEST", "heartbeat_interval"},
        Refusal{
            "HeartbeatBeyondAllNumbers",
            [](v1::WatchRequest* r) { r->mutable_heartbeat_interval()->set_seconds(INT64_MAX); },
            kInvalid, "INVALID_REQUEST", "heartbeat_interval"},
        Refusal{"LeastIntervalTooLong",
                [](v1::WatchRequest* r) { r->mutable_min_update_interval()->set_seconds(3601); },
                kInvalid, "INVALID_REQUEST", "min_update_interval"},
        Refusal{"LeastIntervalNegative",
                [](v1::WatchRequest* r) { r->mutable_min_update_interval()->set_nanos(-1); },
                kInvalid, "INVALID_REQUEST", "min_update_interval"},
        Refusal{"LongClientId",
                [](v1::WatchRequest* r) { r->set_client_id(std::string(257, 'c')); }, kInvalid,
                "INVALID_REQUEST", "client_id"},
        Refusal{"ControlCharacterInClientId",
                [](v1::WatchRequest* r) { r->set_client_id("a\x1b[2Jb"); }, kInvalid,
                "INVALID_REQUEST", "client_id"},
        Refusal{"TooManyLabels",
                [](v1::WatchRequest* r) {
                  for (int i = 0; i < 17; ++i) (*r->mutable_labels())[absl::StrCat(i)] = "";
                },
                kInvalid, "INVALID_REQUEST", "17 labels"},
        Refusal{"LongLabelKey",
                [](v1::WatchRequest* r) { (*r->mutable_labels())[std::string(257, 'k')] = ""; },
                kInvalid, "INVALID_REQUEST", "label key"},
        Refusal{"LineBreakInLabelValue",
                [](v1::WatchRequest* r) { (*r->mutable_labels())["k"] = "a\nb"; }, kInvalid,
                "INVALID_REQUEST", "label value"}),
    [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace confstream
