// The command `confstream` against a server that plays scripts: in this process where output and
// exit code are the matter, as the real program where signals and pipes are.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "client/cli/commands.h"
#include "client/cli/exit_code.h"
#include "confstream/internal/grpc_protocols.pb.h"
#include "tests/fakes/client_program.h"
#include "tests/fakes/scripted_config_service.h"

namespace confstream {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

struct Outcome {
  int code;
  std::string out;
  std::string err;
};

v1::SourceSummary Summary(const ScriptedVersion& version, v1::SourceState state) {
  v1::SourceSummary summary;
  *summary.mutable_header() = HeaderOf(version);
  summary.mutable_status()->set_state(state);
  summary.mutable_status()->mutable_state_since()->set_seconds(1769853600);
  summary.mutable_status()->set_change_detection(v1::CHANGE_DETECTION_INOTIFY);
  summary.mutable_status()->set_served_version(version.version);
  summary.set_file_count(static_cast<int64_t>(version.files.size()));
  summary.set_size_bytes(2048);
  return summary;
}

v1::Violation YamlViolation() {
  v1::Violation violation;
  violation.set_path("app.yaml");
  violation.set_line(3);
  violation.set_column(5);
  violation.set_rule("yaml.syntax");
  violation.set_message("a mapping value is not allowed here");
  return violation;
}

class ConfstreamCommandTest : public ::testing::Test {
 protected:
  static ScriptedVersion App(int64_t version, std::map<std::string, std::string> files) {
    ScriptedVersion scripted;
    scripted.version = version;
    scripted.files = std::move(files);
    if (version > 1) scripted.reason = v1::WATCH_REASON_UPDATE;
    return scripted;
  }

  void Play(std::vector<v1::WatchResponse> messages, bool hold_open = false) {
    WatchScript script;
    script.messages = std::move(messages);
    script.hold_open = hold_open;
    server_.Play(script);
  }

  Outcome Run(std::vector<std::string> args) {
    args.insert(args.end(), {"--server", server_.address()});
    std::ostringstream out, err;
    Console console{&out, &err};
    const int code = RunConfstream(args, &console);
    return {code, out.str(), err.str()};
  }

  ScriptedConfigService server_;
};

TEST_F(ConfstreamCommandTest, GetPrintsAFileByteForByte) {
  const std::string bytes("a: 1\r\n\x00\x1b\xff no newline", 21);
  Play(SnapshotOf(App(4, {{"a*.bin", bytes}})));
  const Outcome outcome = Run({"get", "app", "a*.bin"});
  EXPECT_EQ(outcome.code, kExitOk) << outcome.err;
  EXPECT_EQ(outcome.out, bytes);
  const auto request = server_.requests().at(0);
  EXPECT_TRUE(request.until_in_sync());
  EXPECT_THAT(request.path_globs(), ElementsAre("a\\*.bin")) << "a path of get is no glob";
}

TEST_F(ConfstreamCommandTest, GetPrintsAFileOf20MiB) {
  const std::string content(size_t{20} << 20, 'x');
  Play(SnapshotOf(App(1, {{"big", content}})));
  const Outcome outcome = Run({"get", "app", "big"});
  EXPECT_EQ(outcome.code, kExitOk) << outcome.err;
  EXPECT_TRUE(outcome.out == content);
}

TEST_F(ConfstreamCommandTest, GetListsTheFilesOfASource) {
  Play(SnapshotOf(App(7, {{"a.yaml", "a: 1\n"}, {"b\x1b[31m", std::string(1536, 'b')}})));
  const Outcome outcome = Run({"get", "app"});
  EXPECT_EQ(outcome.code, kExitOk) << outcome.err;
  EXPECT_THAT(outcome.out, StartsWith("app version 7, sha256:"));
  EXPECT_THAT(outcome.out, HasSubstr("1.5 KiB"));
  EXPECT_THAT(outcome.out, HasSubstr("b\\x1b[31m"));
  EXPECT_THAT(outcome.out, Not(HasSubstr("\x1b"))) << "no colours in a pipe, no escapes from names";
}

TEST_F(ConfstreamCommandTest, GetAsJsonHoldsAllContents) {
  Play(SnapshotOf(App(7, {{"a.yaml", "a: 1\n"}, {"bin", "\xff"}})));
  const Outcome outcome = Run({"get", "app", "-o", "json"});
  EXPECT_EQ(outcome.code, kExitOk) << outcome.err;
  const json parsed = json::parse(outcome.out);
  EXPECT_EQ(parsed["version"], 7);
  EXPECT_EQ(parsed["files"][0]["content"], "a: 1\n");
  EXPECT_EQ(parsed["files"][1]["content_base64"], "/w==");
}

TEST_F(ConfstreamCommandTest, GetSaysWhatIsMissing) {
  Play(SnapshotOf(App(7, {})));
  Outcome outcome = Run({"get", "app", "nope"});
  EXPECT_EQ(outcome.code, kExitNotFound);
  EXPECT_THAT(outcome.err, HasSubstr("has no file `nope` in version 7"));
  EXPECT_EQ(outcome.out, "");

  outcome = Run({"get", "other"});  // no script: NOT_FOUND
  EXPECT_EQ(outcome.code, kExitNotFound);
  EXPECT_EQ(outcome.err, "confstream: the play is over\n");
}

TEST_F(ConfstreamCommandTest, GetOfASourceWithoutContentSaysWhyAndDoesNotWait) {
  v1::SourceStatus waiting;
  waiting.set_state(v1::SOURCE_STATE_WAITING);
  *waiting.add_violations() = YamlViolation();
  Play({StatusAt(App(0, {}), waiting)}, /*hold_open=*/true);
  const Outcome outcome = Run({"get", "app"});
  EXPECT_EQ(outcome.code, kExitNotServing);
  EXPECT_THAT(outcome.err, HasSubstr("it is WAITING"));
  EXPECT_THAT(outcome.err, HasSubstr("app.yaml:3:5: yaml.syntax: a mapping value"));
}

TEST_F(ConfstreamCommandTest, GetOfASilentServerEndsAfterTheTimeout) {
  Play({}, /*hold_open=*/true);
  const Outcome outcome = Run({"get", "app", "--timeout", "50ms"});
  EXPECT_EQ(outcome.code, kExitUnreachable);
  EXPECT_THAT(outcome.err, HasSubstr("did not answer in time"));
}

TEST_F(ConfstreamCommandTest, AServerThatIsNotThereIsNamedWithTheRemedy) {
  server_.Stop();
  for (const auto& args : std::vector<std::vector<std::string>>{
           {"ls"}, {"get", "app"}, {"status"}, {"status", "--health"}}) {
    const Outcome outcome = Run(args);
    EXPECT_EQ(outcome.code, kExitUnreachable) << args[0];
    EXPECT_THAT(outcome.err, HasSubstr(server_.address()));
    EXPECT_THAT(outcome.err, HasSubstr("CONFSTREAM_SERVER"));
    EXPECT_EQ(outcome.out, "");
  }
}

TEST_F(ConfstreamCommandTest, LsShowsAllPages) {
  v1::ListSourcesResponse one, two;
  *one.add_sources() = Summary(App(3, {{"a", "1"}}), v1::SOURCE_STATE_SERVING);
  ScriptedVersion waiting = App(0, {});
  waiting.source = "later";
  *two.add_sources() = Summary(waiting, v1::SOURCE_STATE_WAITING);
  server_.List({one, two});
  Outcome outcome = Run({"ls"});
  EXPECT_EQ(outcome.code, kExitOk) << outcome.err;
  const std::vector<std::string> lines = absl::StrSplit(outcome.out, '\n');
  ASSERT_EQ(lines.size(), 4u);
  EXPECT_THAT(lines[0], StartsWith("SOURCE  STATE    VERSION"));
  EXPECT_THAT(lines[1], StartsWith("app     SERVING        3      1  2.0 KiB"));
  EXPECT_THAT(lines[2], StartsWith("later   WAITING        -      -        -"));

  outcome = Run({"ls", "-o", "json"});
  EXPECT_EQ(json::parse(outcome.out)["sources"][1]["state"], "WAITING");
  outcome = Run({"ls", "-o", "raw"});
  EXPECT_EQ(outcome.code, kExitError);
}

TEST_F(ConfstreamCommandTest, StatusShowsViolationsAndFailsUnlessAllIsWell) {
  server_.SetHealth("confstream.v1.ConfigService", true);
  v1::ListSourcesResponse page;
  *page.add_sources() = Summary(App(3, {}), v1::SOURCE_STATE_SERVING);
  server_.List({page});
  EXPECT_EQ(Run({"status"}).code, kExitOk);

  ScriptedVersion bad = App(9, {});
  bad.source = "bad";
  *page.add_sources() = Summary(bad, v1::SOURCE_STATE_DEGRADED);
  *page.mutable_sources(1)->mutable_status()->add_violations() = YamlViolation();
  page.mutable_sources(1)->mutable_status()->set_violations_total(12);
  server_.List({page});
  Outcome outcome = Run({"status"});
  EXPECT_EQ(outcome.code, kExitNotServing);
  EXPECT_THAT(outcome.out, HasSubstr("server " + server_.address() + ": SERVING"));
  EXPECT_THAT(outcome.out,
              HasSubstr("  app.yaml:3:5: yaml.syntax: a mapping value is not allowed"));
  EXPECT_THAT(outcome.out, HasSubstr("and 11 more"));
  EXPECT_THAT(outcome.out, HasSubstr("INOTIFY"));

  EXPECT_EQ(Run({"status", "app"}).code, kExitOk);
  EXPECT_EQ(Run({"status", "none"}).code, kExitNotFound);
  outcome = Run({"status", "bad", "-o", "json"});
  EXPECT_EQ(outcome.code, kExitNotServing);
  const json parsed = json::parse(outcome.out);
  EXPECT_EQ(parsed["healthy"], false);
  EXPECT_EQ(parsed["sources"][0]["violations"][0]["line"], 3);

  server_.SetHealth("confstream.v1.ConfigService", false);
  EXPECT_EQ(Run({"status", "app"}).code, kExitNotServing);
}

TEST_F(ConfstreamCommandTest, StatusSaysThatAConfigurationWasRefused) {
  server_.SetHealth("confstream.v1.ConfigService", true);
  v1::ListSourcesResponse page;
  *page.add_sources() = Summary(App(3, {}), v1::SOURCE_STATE_SERVING);
  page.mutable_config_status()->mutable_load_time()->set_seconds(1'767'225'600);
  server_.List({page});
  Outcome outcome = Run({"status"});
  EXPECT_EQ(outcome.code, kExitOk);
  EXPECT_THAT(outcome.out, HasSubstr(": SERVING, required sources: SERVING\n"));
  EXPECT_THAT(outcome.out, Not(HasSubstr("configuration")));

  page.mutable_config_status()->mutable_refusal_time()->set_seconds(1'767'225'700);
  page.mutable_config_status()->set_refusal_reason("confstream.yaml:1: wrong\x1b\nanother");
  server_.List({page});
  outcome = Run({"status"});
  EXPECT_EQ(outcome.code, kExitNotServing);
  EXPECT_THAT(outcome.out, HasSubstr("configuration: REFUSED at 20"));
  EXPECT_THAT(outcome.out, HasSubstr("\n  confstream.yaml:1: wrong\\x1b\n  another\n"));
  outcome = Run({"status", "-o", "json"});
  const json parsed = json::parse(outcome.out);
  EXPECT_EQ(parsed["healthy"], false);
  EXPECT_EQ(parsed["config_status"]["load_time"], "2026-01-01T00:00:00Z");
  EXPECT_EQ(parsed["config_status"]["refusal_time"], "2026-01-01T00:01:40Z");
  EXPECT_EQ(parsed["config_status"]["refusal_reason"], "confstream.yaml:1: wrong\x1b\nanother");
}

TEST_F(ConfstreamCommandTest, StatusSaysThatSchemasCannotBeUsed) {
  server_.SetHealth("confstream.v1.ConfigService", true);
  v1::ListSourcesResponse page;
  *page.add_sources() = Summary(App(3, {}), v1::SOURCE_STATE_SERVING);
  page.mutable_sources(0)->mutable_status()->set_schema_problem("a.json:1: first\na.json:2: more");
  server_.List({page});
  Outcome outcome = Run({"status"});
  EXPECT_EQ(outcome.code, kExitOk) << "what is served is still what is mounted";
  EXPECT_THAT(outcome.out,
              HasSubstr("the schema files of app have changed, and are not in use; the "
                        "schemas before stay: a.json:1: first; a.json:2: more\n"));
  outcome = Run({"status", "-o", "json"});
  EXPECT_EQ(json::parse(outcome.out)["sources"][0]["schema_problem"],
            "a.json:1: first\na.json:2: more");
}

TEST_F(ConfstreamCommandTest, StatusHealthAsksForTheServerOnly) {
  Outcome outcome = Run({"status", "--health"});
  EXPECT_EQ(outcome.code, kExitOk) << outcome.err;
  EXPECT_EQ(outcome.out, "SERVING\n");
  server_.SetHealth("", false);
  outcome = Run({"status", "--health"});
  EXPECT_EQ(outcome.code, kExitNotServing);
  EXPECT_EQ(outcome.out, "NOT_SERVING\n");
}

TEST_F(ConfstreamCommandTest, WatchShowsChangesAsAUnifiedDiff) {
  ScriptedVersion second =
      App(5, {{"a.yaml", "one\n2\x1b\nthree\n"}, {"bin", "\xff"}, {"new", "hello"}});
  second.skipped_versions = 3;
  second.missing_globs = {"x*"};
  Play(Then(SnapshotOf(App(1, {{"a.yaml", "one\ntwo\nthree\n"}, {"bin", "\xfe"}, {"old", "x\n"}})),
            SnapshotOf(second)),
       true);
  const Outcome outcome = Run({"watch", "app", "--count", "2"});
  EXPECT_EQ(outcome.code, kExitOk) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("app  version 1  "));
  EXPECT_THAT(outcome.out, HasSubstr("  INITIAL\n  a.yaml  14 B\n  bin  1 B\n  old  2 B\n"));
  EXPECT_THAT(outcome.out, HasSubstr("  UPDATE  skipped 3\nno file matches `x*`\n"
                                     "--- a/a.yaml\n+++ b/a.yaml\n"
                                     "@@ -1,3 +1,3 @@\n one\n-two\n+2\\x1b\n three\n"
                                     "Binary files a/bin and b/bin differ (1 B -> 1 B)\n"
                                     "--- /dev/null\n+++ b/new\n@@ -0,0 +1 @@\n+hello\n"
                                     "\\ No newline at end of file\n"
                                     "--- a/old\n+++ /dev/null\n@@ -1 +0,0 @@\n-x\n"));
}

TEST_F(ConfstreamCommandTest, WatchAsJsonTellsEveryEventOnALine) {
  v1::SourceStatus degraded;
  degraded.set_state(v1::SOURCE_STATE_DEGRADED);
  degraded.set_served_version(1);
  degraded.set_violations_total(1);
  *degraded.add_violations() = YamlViolation();
  const ScriptedVersion first = App(1, {{"a", "1"}});
  Play(Then(SnapshotOf(first), {StatusAt(first, degraded), HeartbeatAt(first, false)}));
  Play(Then({HeartbeatAt(first, true)}, SnapshotOf(App(2, {{"a", "2"}}))), true);
  const Outcome outcome = Run({"watch", "app", "-o", "json", "--count", "2"});
  EXPECT_EQ(outcome.code, kExitOk) << outcome.err;
  std::vector<json> events;
  std::vector<std::string> types;
  for (const absl::string_view line : absl::StrSplit(outcome.out, '\n', absl::SkipEmpty())) {
    events.push_back(json::parse(std::string(line)));
    types.push_back(events.back()["type"]);
  }
  ASSERT_THAT(types, ElementsAre("connected", "snapshot", "status", "heartbeat", "disconnected",
                                 "connected", "heartbeat", "snapshot"));
  EXPECT_EQ(events[1]["files"][0]["content"], "1");
  EXPECT_EQ(events[1]["reason"], "INITIAL");
  EXPECT_EQ(events[1]["version"], 1);
  EXPECT_EQ(events[2]["violations"][0]["rule"], "yaml.syntax");
  EXPECT_EQ(events[4]["error"]["code"], "UNAVAILABLE");
  EXPECT_EQ(events[6]["in_sync"], true);
  EXPECT_THAT(outcome.err, HasSubstr("lost the server at"));
  EXPECT_THAT(outcome.err, HasSubstr("connected to " + server_.address() + " again"));
  EXPECT_THAT(outcome.err, HasSubstr("is version 1, the newest"));
  EXPECT_EQ(server_.requests()[1].resume_token(), "token-e1-1");
}

TEST_F(ConfstreamCommandTest, WatchRawPrintsTheFileWhenItChanges) {
  Play(Then(Then(SnapshotOf(App(1, {{"a", "one\n"}})), SnapshotOf(App(2, {{"a", "one\n"}}))),
            SnapshotOf(App(3, {{"a", "three\n"}}))),
       true);
  const Outcome outcome = Run({"watch", "app", "a", "-o", "raw", "-n", "3"});
  EXPECT_EQ(outcome.code, kExitOk) << outcome.err;
  EXPECT_EQ(outcome.out, "one\nthree\n");
  EXPECT_EQ(Run({"watch", "app", "-o", "raw"}).code, kExitError);
}

TEST_F(ConfstreamCommandTest, WatchAsksForWhatTheOptionsSay) {
  Play(SnapshotOf(App(1, {{"a", "1"}})));
  const Outcome outcome =
      Run({"watch", "app", "*.yaml", "b/**", "--glob", "c", "--until-in-sync", "--heartbeat",
           "1500ms", "--min-interval", "2s", "--client-id", "me"});
  EXPECT_EQ(outcome.code, kExitOk) << outcome.err;
  const auto request = server_.requests().at(0);
  EXPECT_THAT(request.path_globs(), ElementsAre("*.yaml", "b/**", "c"));
  EXPECT_TRUE(request.until_in_sync());
  EXPECT_EQ(request.heartbeat_interval().seconds(), 1);
  EXPECT_EQ(request.heartbeat_interval().nanos(), 500000000);
  EXPECT_EQ(request.min_update_interval().seconds(), 2);
  EXPECT_EQ(request.client_id(), "me");
}

TEST_F(ConfstreamCommandTest, WatchAsksForDeltasAndEveryVersionAndPrintsTheSame) {
  const ScriptedVersion first = App(1, {{"a", "one\n"}, {"b", "x\n"}});
  const ScriptedVersion second = App(2, {{"a", "two\n"}});
  Play(Then(SnapshotOf(first), {DeltaOf(first, second)}), true);
  const Outcome outcome = Run({"watch", "app", "--delta", "--every-version", "--count", "2"});
  EXPECT_EQ(outcome.code, kExitOk) << outcome.err;
  EXPECT_EQ(server_.requests().at(0).mode(), v1::WATCH_MODE_DELTA);
  EXPECT_TRUE(server_.requests().at(0).every_version());
  EXPECT_THAT(outcome.out, HasSubstr("--- a/a\n+++ b/a\n@@ -1 +1 @@\n-one\n+two\n"
                                     "--- a/b\n+++ /dev/null\n"));
}

TEST_F(ConfstreamCommandTest, PinRollbackAndHistoryThatFailsAreShownEverywhere) {
  ScriptedVersion version = App(7, {{"a", "1"}});
  std::vector<v1::WatchResponse> messages = SnapshotOf(version);
  v1::ResponseHeader* const header = messages[0].mutable_header();
  header->set_origin(v1::SNAPSHOT_ORIGIN_ROLLBACK);
  header->set_rolled_back_to(3);
  v1::SourceSummary summary = Summary(version, v1::SOURCE_STATE_SERVING);
  *summary.mutable_header() = *header;
  v1::SourceStatus* const status = summary.mutable_status();
  status->mutable_pin()->set_version(3);
  status->mutable_pin()->set_reason("checkout\x07");
  status->mutable_history()->set_state(v1::HISTORY_STATE_FAILING);
  status->mutable_history()->set_problem("/state is full: make room");
  messages.push_back(StatusAt(version, *status));
  *messages.back().mutable_header() = *header;
  Play(messages);

  v1::ListSourcesResponse page;
  *page.add_sources() = summary;
  server_.List({page});
  server_.SetHealth("confstream.v1.ConfigService", true);
  for (const auto& args : std::vector<std::vector<std::string>>{
           {"ls"}, {"status"}, {"watch", "app", "--timeout", "300ms"}}) {
    const Outcome outcome = Run(args);
    EXPECT_THAT(outcome.out, HasSubstr("pinned to the content of version 3: checkout\\x07"))
        << args[0];
    EXPECT_THAT(outcome.out, HasSubstr("is not written to disk: /state is full: make room"))
        << args[0];
    EXPECT_THAT(outcome.out, HasSubstr("rollback of 3")) << args[0];
  }
  const json parsed = json::parse(Run({"status", "-o", "json"}).out);
  EXPECT_EQ(parsed["sources"][0]["pin"]["version"], 3);
  EXPECT_EQ(parsed["sources"][0]["history"]["state"], "FAILING");
  EXPECT_EQ(parsed["sources"][0]["rolled_back_to"], 3);
}

TEST_F(ConfstreamCommandTest, WatchSaysThatAPinHasEnded) {
  const ScriptedVersion version = App(7, {{"a", "1"}});
  v1::SourceStatus pinned, free;
  pinned.set_state(v1::SOURCE_STATE_SERVING);
  pinned.set_served_version(7);
  free = pinned;
  pinned.mutable_pin()->set_version(3);
  pinned.mutable_pin()->set_reason("checkout");
  const std::string ended =
      "the pin has ended: app was pinned to the content of version 3: checkout";
  Play(Then(SnapshotOf(version), {StatusAt(version, pinned), StatusAt(version, pinned)}));
  EXPECT_THAT(Run({"watch", "app", "--timeout", "300ms"}).out, Not(HasSubstr("has ended")));
  Play(Then(SnapshotOf(version),
            {StatusAt(version, pinned), StatusAt(version, free), StatusAt(version, free)}));
  const Outcome outcome = Run({"watch", "app", "--timeout", "300ms"});
  const std::vector<std::string> around = absl::StrSplit(outcome.out, ended);
  EXPECT_EQ(around.size(), 2u) << "it is said once: " << outcome.out;
}

TEST_F(ConfstreamCommandTest, StatusSaysWhereHistoryIsKept) {
  const auto status = [this](const std::vector<v1::HistoryState>& states) {
    v1::ListSourcesResponse page;
    for (const v1::HistoryState state : states) {
      ScriptedVersion version = App(7, {{"a", "1"}});
      version.source = absl::StrCat("s", page.sources_size());
      *page.add_sources() = Summary(version, v1::SOURCE_STATE_SERVING);
      page.mutable_sources()->rbegin()->mutable_status()->mutable_history()->set_state(state);
    }
    server_.List({page});
    return Run({"status"}).out;
  };
  EXPECT_THAT(status({v1::HISTORY_STATE_MEMORY, v1::HISTORY_STATE_MEMORY}),
              HasSubstr("\nhistory: in memory: it ends with the server unless that is started with "
                        "--state-dir DIR\n"));
  EXPECT_THAT(status({v1::HISTORY_STATE_RECORDED, v1::HISTORY_STATE_FAILING}),
              HasSubstr("\nhistory: on disk\n"));
  EXPECT_THAT(status({v1::HISTORY_STATE_MEMORY, v1::HISTORY_STATE_RECORDED}),
              HasSubstr("\nhistory: on disk; in memory: s0\n"));
}

TEST_F(ConfstreamCommandTest, GetOfARetainedVersionChecksWhatItPrints) {
  v1::GetSnapshotResponse response;
  const ScriptedVersion version = App(2, {{"a.yaml", "a: 1\n"}});
  *response.mutable_header() = HeaderOf(version);
  *response.mutable_snapshot() = SnapshotOf(version)[0].snapshot();
  server_.Retain(response);
  Outcome outcome = Run({"get", "app", "a.yaml", "--version", "2"});
  EXPECT_EQ(outcome.code, kExitOk) << outcome.err;
  EXPECT_EQ(outcome.out, "a: 1\n");
  EXPECT_EQ(server_.get_requests().at(0).version(), 2);
  EXPECT_THAT(server_.get_requests().at(0).path_globs(), ElementsAre("a.yaml"));

  response.mutable_snapshot()->mutable_files(0)->set_content("a: 2\n");
  server_.Retain(response);
  outcome = Run({"get", "app", "--version", "2"});
  EXPECT_EQ(outcome.code, kExitError);
  EXPECT_EQ(outcome.out, "");
  EXPECT_THAT(outcome.err, HasSubstr("have the digest"));

  server_.Retain({}, grpc::Status(grpc::StatusCode::NOT_FOUND, "version 2 is gone"));
  EXPECT_EQ(Run({"get", "app", "--version", "2"}).code, kExitNotFound);
}

TEST_F(ConfstreamCommandTest, WatchOfARemovedSourceEndsWithNotFound) {
  WatchScript script;
  script.messages = SnapshotOf(App(1, {{"a", "1"}}));
  script.ending = grpc::Status(grpc::StatusCode::NOT_FOUND, "source `app` was removed");
  server_.Play(script);
  const Outcome outcome = Run({"watch", "app"});
  EXPECT_EQ(outcome.code, kExitNotFound);
  EXPECT_THAT(outcome.err, HasSubstr("was removed"));
}

TEST_F(ConfstreamCommandTest, WatchEndsWhenItsTimeIsOver) {
  Play(SnapshotOf(App(1, {{"a", "1"}})), true);
  EXPECT_EQ(Run({"watch", "app", "--timeout", "300ms"}).code, kExitTimeOver);
  server_.Stop();
  EXPECT_EQ(Run({"watch", "app", "--timeout", "300ms"}).code, kExitUnreachable);
}

TEST_F(ConfstreamCommandTest, HelpNamesTheExitCodesAndWrongUsageIsAnError) {
  Outcome outcome = Run({"--help"});
  EXPECT_EQ(outcome.code, kExitOk);
  EXPECT_THAT(outcome.out, HasSubstr("Exit codes:"));
  EXPECT_EQ(Run({}).code, kExitError);
  for (const auto& args : std::vector<std::vector<std::string>>{{"get"},
                                                                {"wotch", "x"},
                                                                {"ls", "-o", "xml"},
                                                                {"watch", "x", "--heartbeat", "3"},
                                                                {"watch", "x", "-n", "0"},
                                                                {"get", "a", "b", "c"},
                                                                {"ls", "--timeout", "-1s"}}) {
    outcome = Run(args);
    EXPECT_EQ(outcome.code, kExitError) << args[0];
    EXPECT_NE(outcome.err, "");
    EXPECT_EQ(outcome.out, "");
  }
}

TEST_F(ConfstreamCommandTest, ValuesOutOfBoundsAreToldWithTheirBounds) {
  const std::string versions = "from 1 to 9007199254740991";
  for (const auto& [value, args, bounds] :
       std::vector<std::tuple<std::string, std::vector<std::string>, std::string>>{
           {"0", {"get", "app", "--version", "0"}, versions},
           {"x", {"get", "app", "--version", "x"}, versions},
           {"9007199254740992", {"diff", "app", "9007199254740992"}, versions},
           {"1.5", {"diff", "app", "1", "1.5"}, versions},
           {"two", {"rollback", "app", "two"}, versions},
           {"0", {"rollback", "app", "1", "--expect", "0"}, versions},
           {"99999999999999999999",
            {"watch", "app", "-n", "99999999999999999999"},
            "to 1000000000"},
           {"-3", {"history", "app", "--limit", "-3"}, "from 1 to 1000000"},
           {"5ms", {"watch", "app", "--heartbeat", "5ms"}, "from 1s to 1h"},
           {"61m", {"watch", "app", "--min-interval", "61m"}, "from 1ms to 1h"},
           {"-1s", {"ls", "--timeout", "-1s"}, "from 1ms to 8760h"},
           {"inf", {"rollback", "app", "1", "--expire", "inf"}, "from 1ms to 87600h"},
           {"soon", {"rollback", "app", "1", "--expire", "soon"}, "for example 500ms"}}) {
    const Outcome outcome = Run(args);
    EXPECT_EQ(outcome.code, kExitError) << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr("`" + value + "`"));
    EXPECT_THAT(outcome.err, HasSubstr(bounds));
    EXPECT_LT(outcome.err.size(), 230u) << outcome.err;
  }
  EXPECT_THAT(Run({"diff", "app", "x"}).err, HasSubstr("`confstream history`"));
}

TEST_F(ConfstreamCommandTest, AnUnknownCommandIsAnsweredWithTheOneThatWasMeant) {
  Outcome outcome = Run({"histroy", "payments", "--limit", "3"});
  EXPECT_EQ(outcome.code, kExitError);
  EXPECT_EQ(outcome.err, "confstream: there is no command `histroy`: did you mean `history`?\n");
  EXPECT_EQ(Run({"--color", "never", "wotch", "history"}).code, kExitError);
  outcome = Run({"frobnicate\x1b[2J", "app"});
  EXPECT_EQ(
      outcome.err,
      "confstream: there is no command `frobnicate\\x1b[2J`: `confstream --help` lists them\n");
  EXPECT_THAT(Run({"ls", "histroy"}).err, Not(HasSubstr("no command")));
  EXPECT_THAT(Run({"--histroy"}).err, Not(HasSubstr("no command")));
}

TEST_F(ConfstreamCommandTest, AWatchThatWaitedInVainForContentSaysWhy) {
  v1::SourceStatus waiting;
  waiting.set_state(v1::SOURCE_STATE_WAITING);
  *waiting.add_violations() = YamlViolation();
  waiting.set_violations_total(1);
  Play({StatusAt(App(0, {}), waiting)}, true);
  const Outcome outcome = Run({"watch", "app", "a", "-o", "raw", "-n", "1", "-t", "300ms"});
  EXPECT_EQ(outcome.code, kExitTimeOver);
  EXPECT_EQ(outcome.err,
            "confstream: the time limit of 300ms is over: source app has no valid content yet, it "
            "is WAITING: app.yaml:3:5: yaml.syntax: a mapping value is not allowed here\n");
}

TEST_F(ConfstreamCommandTest, SignalsEndAWatchCleanly) {
  for (const int number : {SIGINT, SIGTERM}) {
    Play(SnapshotOf(App(1, {{"a", "1"}})), true);
    ClientProgram program({"watch", "app", "--server", server_.address()});
    ASSERT_TRUE(program.AwaitOutput("version 1"));
    program.Signal(number);
    EXPECT_EQ(program.Wait(), 0);
  }
}

TEST_F(ConfstreamCommandTest, ASignalBeforeTheCountIsReachedIsTold) {
  Play(SnapshotOf(App(1, {{"a", "1"}})), true);
  ClientProgram program({"watch", "app", "--count", "2", "--server", server_.address()});
  ASSERT_TRUE(program.AwaitOutput("version 1"));
  program.Signal(SIGTERM);
  EXPECT_EQ(program.Wait(), 128 + SIGTERM);
}

TEST_F(ConfstreamCommandTest, AReaderThatLeavesEndsAQuietWatch) {
  Play(SnapshotOf(App(1, {{"a", "1"}})), true);
  ClientProgram program({"watch", "app", "--server", server_.address()});
  ASSERT_TRUE(program.AwaitOutput("version 1"));
  program.CloseOutput();
  EXPECT_EQ(program.Wait(), 0);
}

TEST_F(ConfstreamCommandTest, AReaderThatLeavesEndsGetWithoutComplaint) {
  Play(SnapshotOf(App(1, {{"big", std::string(size_t{4} << 20, 'x')}})));
  ClientProgram program({"get", "app", "big", "--server", server_.address()});
  ASSERT_TRUE(program.AwaitOutput("xxx"));
  program.CloseOutput();
  EXPECT_EQ(program.Wait(), 0);
}

TEST_F(ConfstreamCommandTest, UnixSocketsAreServersToo) {
  std::string directory = ::testing::TempDir() + "/confstreamXXXXXX";
  ASSERT_NE(mkdtemp(directory.data()), nullptr);
  const std::string address = absl::StrCat("unix:", directory, "/s");
  {
    ScriptedConfigService server(address);
    ClientProgram program({"status", "--health", "--server", address});
    EXPECT_TRUE(program.AwaitOutput("SERVING"));
    EXPECT_EQ(program.Wait(), 0);
  }
  unlink((directory + "/s").c_str());
  rmdir(directory.c_str());
}

}  // namespace
}  // namespace confstream
