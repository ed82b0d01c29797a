// The commands of `confstream` that call the admin service, against one that answers by script.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "client/cli/candidate_upload.h"
#include "client/cli/commands.h"
#include "client/cli/exit_code.h"
#include "confstream/internal/grpc_protocols.pb.h"
#include "tests/fakes/files.h"
#include "tests/fakes/kubelet_volume.h"
#include "tests/fakes/scripted_admin_service.h"
#include "tests/fakes/scripted_config_service.h"
#include "tests/fakes/temporary_directory.h"

namespace confstream {
namespace {

using nlohmann::json;
using ::testing::ContainsRegex;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;

struct Outcome {
  int code;
  std::string out;
  std::string err;
};

// An error as the server sends it.
grpc::Status ErrorOf(grpc::StatusCode code, const std::string& reason, const std::string& message) {
  internal::ErrorInfo info;
  info.set_reason(reason);
  info.set_domain("confstream.dev");
  internal::RpcStatus details;
  auto* const detail = details.add_details();
  detail->set_type_url("type.googleapis.com/google.rpc.ErrorInfo");
  info.SerializeToString(detail->mutable_value());
  return grpc::Status(code, message, details.SerializeAsString());
}

v1::ResponseHeader Header(int64_t version, int64_t rolled_back_to = 0) {
  ScriptedVersion scripted;
  scripted.version = version;
  v1::ResponseHeader header = HeaderOf(scripted);
  if (rolled_back_to > 0) {
    header.set_origin(v1::SNAPSHOT_ORIGIN_ROLLBACK);
    header.set_rolled_back_to(rolled_back_to);
  }
  return header;
}

v1::SnapshotSummary Summary(int64_t version, int64_t rolled_back_to = 0) {
  v1::SnapshotSummary summary;
  *summary.mutable_header() = Header(version, rolled_back_to);
  summary.set_file_count(4);
  summary.set_size_bytes(2048);
  summary.set_changed_file_count(3);
  summary.set_removed_file_count(1);
  return summary;
}

v1::Pin PinTo(int64_t version) {
  v1::Pin pin;
  pin.set_version(version);
  pin.mutable_pin_time()->set_seconds(1769853600);
  pin.set_reason("breaks \x1b[31mcheckout");
  return pin;
}

class AdminCommandsTest : public ::testing::Test {
 protected:
  Outcome Run(std::vector<std::string> args) {
    args.insert(args.end(), {"--server", server_.address()});
    std::ostringstream out, err;
    Console console{&out, &err};
    const int code = RunConfstream(args, &console);
    return {code, out.str(), err.str()};
  }

  ScriptedAdminService server_;
  TemporaryDirectory directory_;
};

TEST_F(AdminCommandsTest, HistoryListsAllPagesAndMarksTheServedAndThePin) {
  server_.snapshots.resize(2);
  *server_.snapshots[0].add_snapshots() = Summary(12, 3);
  *server_.snapshots[0].mutable_pin() = PinTo(3);
  *server_.snapshots[1].add_snapshots() = Summary(11);
  Outcome outcome = Run({"history", "app"});
  EXPECT_EQ(outcome.code, kExitOk) << outcome.err;
  const std::vector<std::string> lines = absl::StrSplit(outcome.out, '\n');
  ASSERT_GE(lines.size(), 5u) << outcome.out;
  EXPECT_THAT(lines[0], ContainsRegex("VERSION +PUBLISHED +ORIGIN +FILES +CHANGED +REMOVED +SIZE"));
  EXPECT_THAT(lines[1], ContainsRegex("^\\* +12 .*rollback of 3 +4 +3 +1 +2.0 KiB"));
  EXPECT_THAT(lines[2], ContainsRegex("^  +11 .*files +4 +3 +1"));
  EXPECT_THAT(outcome.out, HasSubstr("pinned to the content of version 3"));
  EXPECT_THAT(outcome.out, HasSubstr(": breaks \\x1b[31mcheckout\n"));
  EXPECT_THAT(outcome.out, Not(HasSubstr("\x1b")));
  EXPECT_EQ(server_.list_requests().at(0).source(), "app");
  EXPECT_EQ(server_.list_requests().at(0).page_size(), 20);

  outcome = Run({"history", "app", "-o", "json"});
  const json parsed = json::parse(outcome.out);
  EXPECT_EQ(parsed["snapshots"][0]["served"], true);
  EXPECT_EQ(parsed["snapshots"][0]["rolled_back_to"], 3);
  EXPECT_EQ(parsed["snapshots"][1]["served"], false);
  EXPECT_EQ(parsed["pin"]["version"], 3);
  EXPECT_EQ(parsed["more"], false);
}

TEST_F(AdminCommandsTest, HistoryStopsAtTheLimitAndSaysSo) {
  server_.snapshots.resize(2);
  *server_.snapshots[0].add_snapshots() = Summary(2);
  *server_.snapshots[1].add_snapshots() = Summary(1);
  const Outcome outcome = Run({"history", "app", "--limit", "1"});
  EXPECT_EQ(outcome.code, kExitOk);
  EXPECT_EQ(server_.list_requests().size(), 1u);
  EXPECT_EQ(server_.list_requests()[0].page_size(), 1);
  EXPECT_THAT(outcome.err, HasSubstr("older versions"));
}

TEST_F(AdminCommandsTest, DiffShowsTextBinaryAndLargeFilesOfAllPages) {
  server_.diffs.resize(2);
  *server_.diffs[0].mutable_from() = Header(3);
  *server_.diffs[0].mutable_to() = Header(5, 1);
  v1::FileChange* change = server_.diffs[0].add_changes();
  change->set_path("a.yaml");
  change->set_kind(v1::FILE_CHANGE_KIND_MODIFIED);
  change->mutable_from_file()->set_content("one\ntwo\n");
  change->mutable_to_file()->set_content("one\n2\x1b\n");
  change = server_.diffs[0].add_changes();
  change->set_path("bin");
  change->set_kind(v1::FILE_CHANGE_KIND_ADDED);
  change->mutable_to_file()->set_content("\xff");
  change = server_.diffs[1].add_changes();
  change->set_path("huge");
  change->set_kind(v1::FILE_CHANGE_KIND_MODIFIED);
  change->mutable_from_file()->set_size_bytes(300 << 10);
  change->mutable_to_file()->set_size_bytes(301 << 10);
  change->set_content_omitted(true);
  change = server_.diffs[1].add_changes();
  change->set_path("secret");
  change->set_kind(v1::FILE_CHANGE_KIND_ADDED);
  change->mutable_to_file()->set_size_bytes(9);
  change->set_content_omitted(true);
  change = server_.diffs[1].add_changes();
  change->set_path("old");
  change->set_kind(v1::FILE_CHANGE_KIND_REMOVED);
  change->mutable_from_file()->set_content("x\n");
  Outcome outcome = Run({"diff", "app", "--glob", "*.yaml", "3", "5", "--glob", "**"});
  EXPECT_EQ(outcome.code, kExitOk) << outcome.err;
  EXPECT_THAT(outcome.out, StartsWith("app: version 3 ("));
  EXPECT_THAT(outcome.out, HasSubstr("-> version 5 ("));
  EXPECT_THAT(outcome.out, HasSubstr("rollback of 1)\n"
                                     "--- a/a.yaml\n+++ b/a.yaml\n@@ -1,2 +1,2 @@\n one\n-two\n"
                                     "+2\\x1b\n"
                                     "Binary files /dev/null and b/bin differ (0 B -> 1 B)\n"
                                     "Large files a/huge and b/huge differ (300 KiB -> 301 KiB)\n"
                                     "Sensitive files /dev/null and b/secret differ (0 B -> 9 B)\n"
                                     "--- a/old\n+++ /dev/null\n@@ -1 +0,0 @@\n-x\n"));
  const auto requests = server_.diff_requests();
  ASSERT_EQ(requests.size(), 2u);
  EXPECT_EQ(requests[0].from_version(), 3);
  EXPECT_EQ(requests[1].to_version(), 5);
  EXPECT_TRUE(requests[1].include_content());
  EXPECT_THAT(requests[1].path_globs(), ElementsAre("*.yaml", "**"));
  EXPECT_EQ(requests[1].page_token(), "1");

  outcome = Run({"diff", "app", "3", "5", "--color", "always"});
  EXPECT_THAT(outcome.out, HasSubstr("\x1b[31m-two\x1b[0m"));
  outcome = Run({"diff", "app", "-o", "json"});
  EXPECT_EQ(server_.diff_requests().back().from_version(), 0);
  const json parsed = json::parse(outcome.out);
  EXPECT_EQ(parsed["from"]["version"], 3);
  ASSERT_THAT(parsed["changes"], SizeIs(5));
  EXPECT_EQ(parsed["changes"][0]["kind"], "MODIFIED");
  EXPECT_EQ(parsed["changes"][0]["to"]["content"], "one\n2\x1b\n");
  EXPECT_EQ(parsed["changes"][1]["to"]["content_base64"], "/w==");
  EXPECT_FALSE(parsed["changes"][1].contains("from"));
  EXPECT_FALSE(parsed["changes"][2]["to"].contains("content"));
}

TEST_F(AdminCommandsTest, DiffOfEqualVersionsSaysSo) {
  server_.diffs.resize(1);
  *server_.diffs[0].mutable_from() = Header(1);
  *server_.diffs[0].mutable_to() = Header(2);
  EXPECT_THAT(Run({"diff", "app"}).out, HasSubstr("the content is the same"));
}

TEST_F(AdminCommandsTest, DiffOfAVersionThatIsGoneIsNotFound) {
  server_.error = ErrorOf(grpc::StatusCode::NOT_FOUND, "VERSION_NOT_RETAINED",
                          "version 1 of app is no longer retained");
  const Outcome outcome = Run({"diff", "app", "1"});
  EXPECT_EQ(outcome.code, kExitNotFound);
  EXPECT_EQ(outcome.err, "confstream: version 1 of app is no longer retained\n");
}

TEST_F(AdminCommandsTest, RollbackGuardsTheVersionItHasSeen) {
  server_.snapshots.resize(1);
  *server_.snapshots[0].add_snapshots() = Summary(12);
  *server_.rollback.mutable_header() = Header(13, 3);
  *server_.rollback.mutable_pin() = PinTo(3);
  Outcome outcome = Run({"rollback", "app", "3", "--reason", "checkout", "--expire", "90m"});
  EXPECT_EQ(outcome.code, kExitOk) << outcome.err;
  const v1::RollbackSnapshotRequest request = server_.rollback_requests().at(0);
  EXPECT_EQ(request.source(), "app");
  EXPECT_EQ(request.version(), 3);
  EXPECT_EQ(request.expected_version(), 12);
  EXPECT_EQ(request.reason(), "checkout");
  EXPECT_EQ(request.expire_after().seconds(), 5400);
  EXPECT_THAT(outcome.out, StartsWith("app: version 13 has the content of version 3 ("));
  EXPECT_THAT(outcome.out, HasSubstr("replacing version 12\npinned to the content of version 3"));
  EXPECT_THAT(outcome.err, HasSubstr("warning: the rollback is not on disk yet"));

  server_.rollback.set_persisted(true);
  outcome = Run({"rollback", "app", "3", "--expect", "11", "-o", "json"});
  EXPECT_EQ(server_.rollback_requests().at(1).expected_version(), 11);
  EXPECT_EQ(outcome.err, "");
  EXPECT_EQ(json::parse(outcome.out)["pin"]["version"], 3);
  EXPECT_EQ(json::parse(outcome.out)["persisted"], true);
  EXPECT_EQ(json::parse(outcome.out)["published"], true);
}

TEST_F(AdminCommandsTest, RollbackToWhatIsServedAlreadySaysWhatItDid) {
  server_.snapshots.resize(1);
  *server_.snapshots[0].add_snapshots() = Summary(13, 3);
  *server_.rollback.mutable_header() = Header(13, 3);
  *server_.rollback.mutable_pin() = PinTo(3);
  server_.rollback.mutable_pin()->set_reason("the new reason");
  Outcome outcome = Run({"rollback", "app", "3"});
  EXPECT_THAT(outcome.out, StartsWith("app: already at version 13, which has the content of "
                                      "version 3 ("));
  EXPECT_THAT(outcome.out, ContainsRegex("; it is pinned now\npinned to .*: the new reason\n$"));

  *server_.snapshots[0].mutable_pin() = PinTo(3);
  server_.snapshots[0].mutable_pin()->set_reason("the old reason");
  outcome = Run({"rollback", "app", "3"});
  EXPECT_THAT(outcome.out, ContainsRegex("already at version 13.*; pin renewed, reason and expiry "
                                         "replaced\nit was pinned to .*: the old reason\n"
                                         "pinned to .*: the new reason\n$"));
  EXPECT_THAT(outcome.out, Not(HasSubstr("replacing version")));
  outcome = Run({"rollback", "app", "3", "-o", "json"});
  EXPECT_EQ(json::parse(outcome.out)["published"], false);
}

TEST_F(AdminCommandsTest, RollbackThatSomebodyOvertookNamesTheRemedy) {
  server_.error = ErrorOf(grpc::StatusCode::ABORTED, "VERSION_MISMATCH",
                          "source `app` is at version 13, not at 12 as expected: look at what has "
                          "changed, then decide");
  server_.snapshots.resize(1);
  *server_.snapshots[0].add_snapshots() = Summary(13);
  const Outcome outcome = Run({"rollback", "app", "3", "--expect", "12"});
  EXPECT_EQ(outcome.code, kExitError);
  EXPECT_EQ(outcome.out, "");
  EXPECT_EQ(outcome.err,
            "confstream: source `app` is at version 13, not at 12 as expected: look at what has "
            "changed, then decide (`confstream history app` shows it)\n");
}

TEST_F(AdminCommandsTest, UnpinAndReloadPrintWhatIsServedAndWhatIsWrong) {
  *server_.unpin.mutable_header() = Header(14);
  server_.unpin.mutable_status()->set_state(v1::SOURCE_STATE_SERVING);
  Outcome outcome = Run({"unpin", "app"});
  EXPECT_EQ(outcome.code, kExitOk);
  EXPECT_EQ(server_.named(), "app");
  EXPECT_THAT(outcome.out, StartsWith("app is SERVING, serving version 14 (files, "));
  EXPECT_THAT(outcome.err, HasSubstr("that the pin is gone is not on disk yet"));
  server_.unpin.mutable_status()->mutable_history()->set_state(v1::HISTORY_STATE_MEMORY);
  EXPECT_THAT(Run({"unpin", "app"}).err, HasSubstr("started with --state-dir DIR"));

  *server_.reload.mutable_header() = Header(14);
  v1::SourceStatus* const status = server_.reload.mutable_status();
  status->set_state(v1::SOURCE_STATE_DEGRADED);
  status->mutable_history()->set_state(v1::HISTORY_STATE_FAILING);
  status->mutable_history()->set_problem("/state: no space left");
  v1::Violation* const violation = status->add_violations();
  violation->set_path("a.yaml");
  violation->set_line(2);
  violation->set_column(7);
  violation->set_rule("yaml.syntax");
  violation->set_message("mend it");
  status->set_violations_total(3);
  outcome = Run({"reload", "other"});
  EXPECT_EQ(outcome.code, kExitNotServing);
  EXPECT_EQ(server_.named(), "other");
  EXPECT_THAT(outcome.out, HasSubstr("is DEGRADED"));
  EXPECT_THAT(outcome.out, HasSubstr("is not written to disk: /state: no space left"));
  EXPECT_THAT(outcome.out, HasSubstr("  a.yaml:2:7: yaml.syntax: mend it\n  and 2 more"));
  outcome = Run({"reload", "other", "-o", "json"});
  EXPECT_EQ(outcome.code, kExitNotServing);
  EXPECT_EQ(json::parse(outcome.out)["history"]["problem"], "/state: no space left");
}

TEST_F(AdminCommandsTest, EventsArePrintedOldestFirstWithWhatHappenedAndHowOften) {
  v1::SourceEvent* hint = server_.events.add_events();
  hint->set_kind(v1::SOURCE_EVENT_KIND_HINT);
  hint->set_detail("written to: a\x1b[31m");
  hint->set_count(17);
  v1::SourceEvent* version = server_.events.add_events();
  version->set_kind(v1::SOURCE_EVENT_KIND_VERSION);
  version->set_detail("published, 2 files");
  version->set_count(1);
  version->set_version(7);
  const Outcome table = Run({"events", "app"});
  EXPECT_EQ(table.code, 0);
  EXPECT_EQ(server_.named(), "app");
  EXPECT_THAT(table.out, ContainsRegex("hint .*17 *written to: a.x1b.31m\n"));
  EXPECT_THAT(table.out, ContainsRegex("version +7 .*published, 2 files"));
  const Outcome structured = Run({"events", "app", "--output", "json"});
  EXPECT_THAT(structured.out, HasSubstr(R"("kind": "VERSION")"));
  EXPECT_THAT(structured.out, HasSubstr(R"("version": 7)"));
}

TEST_F(AdminCommandsTest, UnpinOfWhatIsNotPinnedSaysSo) {
  server_.error = ErrorOf(grpc::StatusCode::FAILED_PRECONDITION, "NOT_PINNED", "app is not pinned");
  const Outcome outcome = Run({"unpin", "app"});
  EXPECT_EQ(outcome.code, kExitError);
  EXPECT_EQ(outcome.err, "confstream: app is not pinned\n");
}

TEST_F(AdminCommandsTest, WhoShowsWhereClientsStandAndWhatTheyRejected) {
  server_.watchers.resize(2);
  v1::Watcher* watcher = server_.watchers[0].add_watchers();
  watcher->set_source("app");
  watcher->set_client_id("web/1");
  watcher->set_peer("ipv4:10.0.0.1:4711");
  watcher->set_version(12);
  watcher->set_in_sync(true);
  watcher->mutable_last_report()->set_version(12);
  watcher->mutable_last_report()->set_outcome(v1::OUTCOME_APPLIED);
  watcher->mutable_last_rejection()->set_version(11);
  watcher->mutable_last_rejection()->set_reason("no cipher \x1b[2J");
  (*watcher->mutable_labels())["pod"] = "web-1";
  watcher = server_.watchers[1].add_watchers();
  watcher->set_source("app");
  watcher->add_path_globs("*.yaml");
  watcher->set_peer("unix:");
  watcher->set_version(9);
  watcher->set_versions_behind(3);
  watcher->mutable_behind_since()->set_seconds(1769853600);
  Outcome outcome = Run({"who"});
  EXPECT_EQ(outcome.code, kExitOk) << outcome.err;
  EXPECT_EQ(server_.named(), "");
  EXPECT_THAT(outcome.out, ContainsRegex("app +web/1 +ipv4:10.0.0.1:4711 .* all +12 +in sync +"
                                         "APPLIED 12\n"));
  EXPECT_THAT(outcome.out, ContainsRegex("app +- +unix: .* \\*.yaml +9 +3 behind since 2026-0"));
  EXPECT_THAT(outcome.out, ContainsRegex("\nweb/1 \\(ipv4:10.0.0.1:4711\\) rejected version 11 of "
                                         "app at .*: no cipher \\\\x1b\\[2J\n"));
  outcome = Run({"who", "app", "-o", "json"});
  EXPECT_EQ(server_.named(), "app");
  const json parsed = json::parse(outcome.out);
  EXPECT_EQ(parsed["watchers"][0]["labels"]["pod"], "web-1");
  EXPECT_EQ(parsed["watchers"][0]["last_rejection"]["version"], 11);
  EXPECT_EQ(parsed["watchers"][1]["versions_behind"], 3);
}

TEST_F(AdminCommandsTest, AServerWithoutAdminServiceIsToldFromAnOldOne) {
  ScriptedConfigService data_plane;
  for (const auto& args :
       std::vector<std::vector<std::string>>{{"history", "app"},
                                             {"diff", "app"},
                                             {"rollback", "app", "1"},
                                             {"who"},
                                             {"unpin", "app"},
                                             {"reload", "app"},
                                             {"validate", "app", directory_.path()}}) {
    std::vector<std::string> all = args;
    all.insert(all.end(), {"--server", data_plane.address()});
    std::ostringstream out, err;
    Console console{&out, &err};
    EXPECT_EQ(RunConfstream(all, &console), kExitError) << args[0];
    EXPECT_THAT(err.str(), HasSubstr("admin_listen")) << args[0];
  }
}

// What was uploaded, put together.
std::map<std::string, std::string> Uploaded(const std::vector<v1::ValidateSnapshotRequest>& all) {
  std::map<std::string, std::string> files;
  for (const v1::ValidateSnapshotRequest& request : all) {
    size_t bytes = 0;
    for (const v1::ConfigFile& part : request.files()) {
      EXPECT_EQ(part.content_offset(), static_cast<int64_t>(files[part.path()].size()));
      files[part.path()] += part.content();
      EXPECT_LE(files[part.path()].size(), static_cast<size_t>(part.size_bytes()));
      bytes += part.content().size();
    }
    EXPECT_LE(bytes, CandidateUpload::kMessageBytes);
  }
  return files;
}

TEST_F(AdminCommandsTest, ValidateSendsTheFilesOfAVolumeInSmallMessages) {
  std::string large(size_t{5} << 19, 'x');
  for (size_t i = 0; i < large.size(); i += 4093) large[i] = static_cast<char>('a' + i % 26);
  const std::map<std::string, std::string> files = {
      {"a.yaml", "a: 1\n"}, {"empty", ""}, {"sub/large", large}, {"z", "end"}};
  KubeletVolume volume(directory_.Path("volume"));
  volume.Swap(files);
  server_.verdict.set_valid(true);
  server_.verdict.set_digest("sha256:0123");
  const Outcome outcome = Run({"validate", "app", volume.path()});
  EXPECT_EQ(outcome.code, kExitOk) << outcome.err;
  EXPECT_EQ(outcome.out, "valid: 4 files, sha256:0123\n");
  const auto uploads = server_.uploads();
  EXPECT_EQ(uploads.at(0).source(), "app");
  EXPECT_GE(uploads.size(), 3u);
  EXPECT_TRUE(Uploaded(uploads) == files);
}

TEST_F(AdminCommandsTest, ValidatePrintsViolationsAsCompilersDoAndFails) {
  WriteFile(directory_.Path("new/a.yaml"), "a: [");
  std::filesystem::create_symlink("nowhere", directory_.Path("new/dangling"));
  v1::Violation* const violation = server_.verdict.add_violations();
  violation->set_path("a.yaml");
  violation->set_line(1);
  violation->set_column(5);
  violation->set_rule("yaml.syntax");
  violation->set_message("the list does not end");
  server_.verdict.set_violations_total(7);
  Outcome outcome = Run({"validate", "app", directory_.Path("new")});
  EXPECT_EQ(outcome.code, kExitInvalid);
  EXPECT_THAT(outcome.out, StartsWith("a.yaml:1:5: yaml.syntax: the list does not end\n"
                                      "dangling: link.dangling: "));
  EXPECT_THAT(outcome.out, HasSubstr("not valid: 8 violations, of which the first 2 are listed"));
  outcome = Run({"validate", "app", directory_.Path("new"), "-o", "json"});
  EXPECT_EQ(outcome.code, kExitInvalid);
  EXPECT_EQ(json::parse(outcome.out)["valid"], false);
  EXPECT_EQ(json::parse(outcome.out)["violations"][0]["column"], 5);
}

TEST_F(AdminCommandsTest, ValidateRefusesADanglingLinkEvenIfTheServerSawNothingWrong) {
  WriteFile(directory_.Path("new/a"), "1");
  std::filesystem::create_symlink("/etc/hostname", directory_.Path("new/out"));
  server_.verdict.set_valid(true);
  const Outcome outcome = Run({"validate", "app", directory_.Path("new")});
  EXPECT_EQ(outcome.code, kExitInvalid);
  EXPECT_THAT(outcome.out, StartsWith("out: link."));
}

TEST_F(AdminCommandsTest, ValidateOfADirectoryThatIsMissingNamesIt) {
  const Outcome outcome = Run({"validate", "app", directory_.Path("none")});
  EXPECT_EQ(outcome.code, kExitError);
  EXPECT_THAT(outcome.err, HasSubstr(directory_.Path("none")));
}

TEST_F(AdminCommandsTest, ValidateTellsWhyTheServerRefusedHalfway) {
  WriteFile(directory_.Path("new/large"), std::string(size_t{16} << 20, 'x'));
  server_.refuse_uploads = true;
  server_.error = ErrorOf(grpc::StatusCode::INVALID_ARGUMENT, "INVALID_REQUEST", "no more of this");
  const Outcome outcome = Run({"validate", "app", directory_.Path("new")});
  EXPECT_EQ(outcome.code, kExitError);
  EXPECT_EQ(outcome.err, "confstream: no more of this\n");
}

TEST_F(AdminCommandsTest, WrongUsageIsAnErrorWithAWord) {
  for (const auto& args :
       std::vector<std::vector<std::string>>{{"rollback", "app"},
                                             {"rollback", "app", "0"},
                                             {"rollback", "app", "x"},
                                             {"diff"},
                                             {"diff", "app", "1", "2", "3"},
                                             {"history", "app", "--limit", "0"},
                                             {"validate", "app"},
                                             {"sync", "app"},
                                             {"sync", "app", "/x", "--mode", "0999"},
                                             {"exec", "app"},
                                             {"exec", "app", "--signal", "KILL", "--", "true"},
                                             {"exec", "app", "--signal", "NONE", "--", "true"},
                                             {"who", "-o", "raw"}}) {
    const Outcome outcome = Run(args);
    EXPECT_EQ(outcome.code, kExitError) << args[0];
    EXPECT_NE(outcome.err, "");
    EXPECT_EQ(outcome.out, "");
  }
}

}  // namespace
}  // namespace confstream
