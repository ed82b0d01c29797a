// `confstream sync` and `confstream exec` as programs, against a server that plays scripts.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>

#include "absl/strings/str_cat.h"
#include "client/cli/exit_code.h"
#include "tests/fakes/client_program.h"
#include "tests/fakes/files.h"
#include "tests/fakes/scripted_config_service.h"
#include "tests/fakes/temporary_directory.h"

namespace confstream {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;

std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

class FollowingCommandsTest : public ::testing::Test {
 protected:
  static ScriptedVersion App(int64_t version, std::map<std::string, std::string> files) {
    ScriptedVersion scripted;
    scripted.version = version;
    scripted.files = std::move(files);
    return scripted;
  }

  void Play(std::vector<v1::WatchResponse> messages, bool hold_open = true) {
    WatchScript script;
    script.messages = std::move(messages);
    script.hold_open = hold_open;
    server_.Play(script);
  }

  // Starts a command that follows `app`; its errors are in the output.
  std::unique_ptr<ClientProgram> Start(std::vector<std::string> args) {
    args.insert(args.begin(), {"--server", server_.address()});
    return std::make_unique<ClientProgram>(args, ClientProgram::Errors::kInOutput);
  }

  // What a killed `exec` leaves behind goes with the test.
  FollowingCommandsTest() { setenv("TMPDIR", temporary_.path().c_str(), 1); }
  ~FollowingCommandsTest() override {
    if (before_.has_value()) {
      setenv("TMPDIR", before_->c_str(), 1);
    } else {
      unsetenv("TMPDIR");
    }
  }

  const std::optional<std::string> before_ =
      getenv("TMPDIR") == nullptr ? std::nullopt : std::optional<std::string>(getenv("TMPDIR"));
  ScriptedConfigService server_;
  TemporaryDirectory temporary_;
  const std::string target_ = temporary_.Path("target");
};

TEST_F(FollowingCommandsTest, SyncOnceMaterializesReportsAndEnds) {
  Play(SnapshotOf(App(3, {{"a", "1"}, {"sub/b", "2"}})));
  const auto program = Start({"sync", "app", target_, "--once", "--mode", "600"});
  EXPECT_TRUE(program->AwaitEnd());
  EXPECT_THAT(program->seen(), EndsWith("applied\n")) << "no complaint follows";
  EXPECT_EQ(program->Wait(), kExitOk);
  EXPECT_EQ(ReadFile(target_ + "/a"), "1");
  EXPECT_EQ(ReadFile(target_ + "/..data/sub/b"), "2");
  EXPECT_EQ(fs::status(target_ + "/a").permissions(), fs::perms(0600));
  EXPECT_FALSE(server_.requests().at(0).until_in_sync())
      << "an ended stream takes no report: the client has to end it, after its report";
  EXPECT_EQ(server_.requests().at(0).mode(), v1::WATCH_MODE_DELTA);
  ASSERT_EQ(server_.reports().size(), 1u);
  EXPECT_EQ(server_.reports()[0].outcome(), v1::OUTCOME_APPLIED);
  EXPECT_EQ(server_.reports()[0].version(), 3);
  EXPECT_EQ(server_.reports()[0].watch_id(), "watch-1");
}

TEST_F(FollowingCommandsTest, SyncOnceGoesOnUntilTheContentIsTheNewest) {
  std::vector<v1::WatchResponse> older = SnapshotOf(App(1, {{"a", "1"}}));
  older.back().set_in_sync(false);
  Play(older, false);
  Play(SnapshotOf(App(2, {{"a", "2"}})));
  EXPECT_EQ(Start({"sync", "app", target_, "--once"})->Wait(), kExitOk);
  EXPECT_EQ(ReadFile(target_ + "/a"), "2");
  ASSERT_FALSE(server_.reports().empty());
  EXPECT_EQ(server_.reports().back().version(), 2);
}

TEST_F(FollowingCommandsTest, SyncTakesTheFilesThatMatchAndNamesGlobsThatMatchNone) {
  ScriptedVersion version = App(1, {{"a.yaml", "1"}});
  version.missing_globs = {"b\x1b*"};
  Play(SnapshotOf(version));
  const auto program =
      Start({"sync", "--glob", "*.yaml", "app", target_, "--once", "--glob", "b\x1b*"});
  EXPECT_TRUE(program->AwaitOutput("no file of version 1 matches `b\\x1b*`"));
  EXPECT_EQ(program->Wait(), kExitOk);
  EXPECT_THAT(server_.requests().at(0).path_globs(), ElementsAre("*.yaml", "b\x1b*"));
}

TEST_F(FollowingCommandsTest, SyncFollowsDeltasAndEndsOnASignal) {
  const ScriptedVersion first = App(1, {{"a", "1"}, {"gone", "1"}});
  const ScriptedVersion second = App(2, {{"a", "2"}, {"new", "2"}});
  Play(Then(SnapshotOf(first), {DeltaOf(first, second)}));
  const auto program = Start({"sync", "app", target_});
  EXPECT_TRUE(program->AwaitOutput("version 2"));
  ASSERT_TRUE(server_.AwaitReports(2));
  EXPECT_EQ(ReadFile(target_ + "/a"), "2");
  EXPECT_EQ(ReadFile(target_ + "/new"), "2");
  EXPECT_FALSE(fs::exists(target_ + "/gone"));
  program->Signal(SIGTERM);
  EXPECT_EQ(program->Wait(), kExitOk);
}

TEST_F(FollowingCommandsTest, SyncRejectsPathsThatCannotBeFilesAndKeepsTheOldGeneration) {
  Play(Then(SnapshotOf(App(1, {{"a", "1"}})), SnapshotOf(App(2, {{"a", "2"}, {"a/b", "2"}}))));
  const auto program = Start({"sync", "app", target_});
  ASSERT_TRUE(server_.AwaitReports(2));
  EXPECT_EQ(server_.reports()[1].outcome(), v1::OUTCOME_REJECTED);
  EXPECT_EQ(server_.reports()[1].version(), 2);
  EXPECT_THAT(server_.reports()[1].reason(), HasSubstr("`a` is a file, too"));
  EXPECT_EQ(ReadFile(target_ + "/a"), "1");
  EXPECT_TRUE(program->AwaitOutput("rejected: path `a/b`"));
}

TEST_F(FollowingCommandsTest, SyncKeepsWhatIsThereWhenNoGlobMatches) {
  Play(SnapshotOf(App(1, {{"a", "1"}})));
  EXPECT_EQ(Start({"sync", "app", target_, "--once"})->Wait(), kExitOk);
  ScriptedVersion nothing = App(2, {});
  nothing.missing_globs = {"b*", "c\x1b"};
  Play(SnapshotOf(nothing));
  const std::vector<std::string> again = {"sync",   "app", target_,  "--once",
                                          "--glob", "b*",  "--glob", "c\x1b"};
  auto program = Start(again);
  EXPECT_TRUE(
      program->AwaitOutput("rejected: no file matches `b*` or `c\\x1b`: mend --glob, or add "
                           "--allow-empty if there are to be no files\n"));
  EXPECT_EQ(program->Wait(), kExitError);
  EXPECT_EQ(ReadFile(target_ + "/a"), "1");
  ASSERT_TRUE(server_.AwaitReports(2));
  EXPECT_EQ(server_.reports()[1].outcome(), v1::OUTCOME_REJECTED);

  Play(SnapshotOf(nothing));
  std::vector<std::string> meant = again;
  meant.push_back("--allow-empty");
  program = Start(meant);
  EXPECT_TRUE(program->AwaitOutput("no file of version 2 matches `b*`"));
  EXPECT_EQ(program->Wait(), kExitOk);
  EXPECT_FALSE(fs::exists(target_ + "/a"));
}

TEST_F(FollowingCommandsTest, SyncTakesASourceThatHasNoFilesAsItIs) {
  Play(Then(SnapshotOf(App(1, {{"a", "1"}})), SnapshotOf(App(2, {}))));
  const auto program = Start({"sync", "app", target_});
  ASSERT_TRUE(server_.AwaitReports(2));
  EXPECT_EQ(server_.reports()[1].outcome(), v1::OUTCOME_APPLIED);
  EXPECT_FALSE(fs::exists(target_ + "/a"));
}

TEST_F(FollowingCommandsTest, SyncOnceOfRejectedContentFails) {
  Play(SnapshotOf(App(1, {{"../a", "1"}})));
  EXPECT_EQ(Start({"sync", "app", target_, "--once"})->Wait(), kExitError);
  EXPECT_FALSE(fs::exists(temporary_.Path("a")));
}

TEST_F(FollowingCommandsTest, SyncTriesAgainWithTheHeartbeatAfterWhatWasInTheWayIsGone) {
  const ScriptedVersion second = App(2, {{"a", "2"}});
  Play(SnapshotOf(App(1, {{"a", "1"}})));
  const auto program = Start({"sync", "app", target_});
  ASSERT_TRUE(server_.AwaitReports(1));
  WriteFile(target_ + "/mine", "x");
  Play(SnapshotOf(second));
  server_.EndStreams();
  ASSERT_TRUE(server_.AwaitReports(2));
  EXPECT_EQ(server_.reports()[1].outcome(), v1::OUTCOME_REJECTED);
  EXPECT_THAT(server_.reports()[1].reason(), HasSubstr("holds `mine`"));
  EXPECT_EQ(ReadFile(target_ + "/a"), "1");
  fs::remove(target_ + "/mine");
  Play({HeartbeatAt(second, true)});
  server_.EndStreams();
  ASSERT_TRUE(server_.AwaitReports(3));
  EXPECT_EQ(server_.reports()[2].outcome(), v1::OUTCOME_APPLIED);
  EXPECT_EQ(server_.reports()[2].version(), 2);
  EXPECT_EQ(ReadFile(target_ + "/a"), "2");
}

TEST_F(FollowingCommandsTest, SyncRefusesAForeignDirectoryBeforeItAsksTheServer) {
  WriteFile(target_ + "/mine", "x");
  const auto program = Start({"sync", "app", target_, "--once"});
  EXPECT_TRUE(program->AwaitOutput("holds `mine`"));
  EXPECT_EQ(program->Wait(), kExitError);
  EXPECT_EQ(server_.requests().size(), 0u);
}

TEST_F(FollowingCommandsTest, SyncOnceThatWaitsInVainEndsWithItsTime) {
  Play({});
  EXPECT_EQ(Start({"sync", "app", target_, "--once", "--timeout", "300ms"})->Wait(),
            kExitUnreachable);
  v1::SourceStatus waiting;
  waiting.set_state(v1::SOURCE_STATE_WAITING);
  waiting.set_violations_total(2);
  v1::Violation* const violation = waiting.add_violations();
  violation->set_path("a.yaml");
  violation->set_line(3);
  violation->set_rule("yaml.syntax");
  violation->set_message("mend it");
  Play({StatusAt(App(0, {}), waiting)});
  const auto program = Start({"sync", "app", target_, "--once", "--timeout", "500ms"});
  const std::string why =
      "source app has no valid content yet, it is WAITING: a.yaml:3: yaml.syntax: mend it, and 1 "
      "more\n";
  EXPECT_TRUE(program->AwaitOutput("confstream: waiting: " + why)) << "at once";
  EXPECT_TRUE(program->AwaitOutput("confstream: the time limit of 500ms is over: " + why));
  EXPECT_EQ(program->Wait(), kExitTimeOver);
}

TEST_F(FollowingCommandsTest, ExecRunsTheCommandWithItsEnvironmentAndReportsApplied) {
  Play(SnapshotOf(App(4, {{"a", "hello"}})));
  const auto program =
      Start({"exec", "app", "--", "sh", "-c",
             "echo $CONFSTREAM_SOURCE $CONFSTREAM_VERSION $(cat $CONFSTREAM_DIR/a) in "
             "$CONFSTREAM_DIR."});
  ASSERT_TRUE(program->AwaitOutput("app 4 hello in "));
  ASSERT_TRUE(server_.AwaitReports(1));
  EXPECT_EQ(server_.reports()[0].outcome(), v1::OUTCOME_APPLIED);
  ASSERT_TRUE(program->AwaitOutput(".\n"));
  const size_t begin = program->seen().find("hello in ") + 9;
  const std::string own = program->seen().substr(begin, program->seen().find(".\n") - begin);
  const fs::path private_directory = fs::path(own).parent_path();
  EXPECT_EQ(fs::status(private_directory).permissions(), fs::perms(0700));
  program->Signal(SIGTERM);
  EXPECT_EQ(program->Wait(), kExitOk);
  EXPECT_FALSE(fs::exists(private_directory)) << "its own directory goes with it";
}

TEST_F(FollowingCommandsTest, ExecRemovesWhatAKilledOneLeftAndNothingThatLives) {
  const auto start = [this] {
    Play(SnapshotOf(App(1, {{"a", "1"}})));
    auto program = Start({"exec", "app", "--", "sh", "-c", "echo in $CONFSTREAM_DIR."});
    EXPECT_TRUE(program->AwaitOutput(".\n"));
    return program;
  };
  const auto directory = [](const ClientProgram& program) {
    return program.seen().substr(3, program.seen().find(".\n") - 3);
  };
  const auto killed = start();
  ASSERT_TRUE(server_.AwaitReports(1)) << "the command has ended, too";
  killed->Signal(SIGKILL);
  ASSERT_EQ(killed->Wait(), -SIGKILL);
  ASSERT_EQ(ReadFile(directory(*killed) + "/a"), "1");
  const auto living = start();
  EXPECT_FALSE(fs::exists(fs::path(directory(*killed)).parent_path()));
  const auto another = start();
  EXPECT_EQ(ReadFile(directory(*living) + "/a"), "1");
  EXPECT_EQ(ReadFile(directory(*another) + "/a"), "1");
}

TEST_F(FollowingCommandsTest, ExecLeavesTheDirectoryOfACommandThatOutlivedItsExec) {
  const std::string go = temporary_.Path("go");
  ASSERT_EQ(mkfifo(go.c_str(), 0600), 0);
  Play(SnapshotOf(App(1, {{"a", "1"}})));
  const auto killed = Start(
      {"exec", "app", "--", "sh", "-c", absl::StrCat("echo in $CONFSTREAM_DIR.; read word <", go)});
  ASSERT_TRUE(killed->AwaitOutput(".\n"));
  const std::string directory = killed->seen().substr(3, killed->seen().find(".\n") - 3);
  killed->Signal(SIGKILL);
  ASSERT_EQ(killed->Wait(), -SIGKILL);
  const auto sweeps = [&] {
    Play(SnapshotOf(App(1, {{"a", "1"}})));
    EXPECT_TRUE(Start({"exec", "app", "--", "echo", "run"})->AwaitOutput("run\n"));
    return !fs::exists(directory);
  };
  EXPECT_FALSE(sweeps()) << "the orphan still reads it";
  WriteFile(go, "end\n");
  EXPECT_TRUE(killed->AwaitEnd()) << "the orphan ends, and with it the last writer of the pipe";
  EXPECT_TRUE(sweeps());
}

TEST_F(FollowingCommandsTest, ExecSaysThatItWaitsForContentAndWhy) {
  v1::SourceStatus waiting;
  waiting.set_state(v1::SOURCE_STATE_WAITING);
  Play({StatusAt(App(0, {}), waiting), StatusAt(App(0, {}), waiting)});
  const auto program = Start({"exec", "app", "--", "true"});
  EXPECT_TRUE(
      program->AwaitOutput("waiting: source app has no valid content yet, it is WAITING\n"));
  program->Signal(SIGTERM);
  EXPECT_EQ(program->Wait(), kExitOk);
}

TEST_F(FollowingCommandsTest, ExecWithoutACommandSaysWhereToWriteIt) {
  const auto program = Start({"exec", "app"});
  EXPECT_TRUE(program->AwaitOutput("`confstream exec app -- COMMAND ARGUMENT...`"));
  EXPECT_EQ(program->Wait(), kExitError);
  EXPECT_EQ(server_.requests().size(), 0u);
}

TEST_F(FollowingCommandsTest, ExecWithoutTheSeparatorSaysWhereToWriteIt) {
  for (const std::vector<std::string>& command : {std::vector<std::string>{"true"},
                                                  {"nginx", "-g", "daemon off;"},
                                                  {"nginx", "-s", "reload"},
                                                  {"sleep", "-t", "soon"}}) {
    std::vector<std::string> args = {"exec", "app"};
    args.insert(args.end(), command.begin(), command.end());
    const auto program = Start(args);
    EXPECT_TRUE(program->AwaitOutput("exec needs `--` before COMMAND")) << command.back();
    EXPECT_EQ(program->Wait(), kExitError);
  }
  EXPECT_EQ(server_.requests().size(), 0u);
}

TEST_F(FollowingCommandsTest, ExecDoesNotRunWhenNoGlobMatches) {
  ScriptedVersion nothing = App(1, {});
  nothing.missing_globs = {"b*"};
  Play(SnapshotOf(nothing));
  auto program = Start({"exec", "app", "--glob", "b*", "--", "echo", "run"});
  EXPECT_TRUE(program->AwaitOutput("version 1 of app rejected: no file matches `b*`: "));
  ASSERT_TRUE(server_.AwaitReports(1));
  EXPECT_EQ(server_.reports()[0].outcome(), v1::OUTCOME_REJECTED);
  Play(SnapshotOf(nothing));
  program = Start({"exec", "app", "--glob", "b*", "--allow-empty", "--", "echo", "run"});
  EXPECT_TRUE(program->AwaitOutput("run\n"));
}

TEST_F(FollowingCommandsTest, ExecReportsRejectedWithExitCodeAndTheLastLines) {
  Play(SnapshotOf(App(4, {{"a", "1"}})));
  const auto program = Start({"exec", "app", "--dir", target_, "--", "sh", "-c",
                              "echo first >&2; echo 'no such cipher' >&2; exit 3"});
  ASSERT_TRUE(server_.AwaitReports(1));
  EXPECT_EQ(server_.reports()[0].outcome(), v1::OUTCOME_REJECTED);
  EXPECT_EQ(server_.reports()[0].reason(), "exit code 3: first | no such cipher");
  EXPECT_TRUE(program->AwaitOutput("no such cipher\n")) << "what it says is not kept from people";
  EXPECT_EQ(ReadFile(target_ + "/a"), "1");
}

TEST_F(FollowingCommandsTest, ExecBoundsWhatACommandSays) {
  Play(SnapshotOf(App(4, {{"a", "1"}})));
  const auto program = Start({"exec", "app", "--", "sh", "-c",
                              "head -c 300000 /dev/zero | tr '\\0' x >&2; kill -SEGV $$"});
  ASSERT_TRUE(program->AwaitOutput("rejected: signal SEGV"));
  ASSERT_TRUE(server_.AwaitReports(1));
  EXPECT_THAT(server_.reports()[0].reason(), HasSubstr("signal SEGV: xxx"));
  EXPECT_LE(server_.reports()[0].reason().size(), 1024u);
}

TEST_F(FollowingCommandsTest, ExecCoalescesChangesThatComeWhileItRuns) {
  const std::string go = temporary_.Path("go");
  ASSERT_EQ(mkfifo(go.c_str(), 0600), 0);
  Play(SnapshotOf(App(1, {{"a", "1"}})));
  const auto program = Start(
      {"exec", "app", "--", "sh", "-c", absl::StrCat("echo run $CONFSTREAM_VERSION; cat ", go)});
  ASSERT_TRUE(program->AwaitOutput("run 1\n"));
  std::vector<v1::WatchResponse> more;
  for (int version = 2; version <= 6; ++version) {
    more = Then(more, SnapshotOf(App(version, {{"a", absl::StrCat(version)}})));
  }
  Play(more, false);
  Play({HeartbeatAt(App(6, {{"a", "6"}}), true)});
  server_.EndStreams();
  // Whoever comes back with the token of the last version has all of them.
  ASSERT_TRUE(server_.AwaitRequests(3));
  ASSERT_EQ(server_.requests()[2].resume_token(), "token-e1-6");
  ASSERT_TRUE(program->AwaitOutput(
      absl::StrCat("ended the stream); trying to connect again\nconfstream: connected to ",
                   server_.address(), " again\n")));
  WriteFile(go, "first\n");
  EXPECT_TRUE(program->AwaitOutput("first\nrun 6\n"));
  WriteFile(go, "second\n");
  // Of version 1 it tells only if the new stream had said where it stands before that was over.
  ASSERT_TRUE(server_.AwaitReports(1));
  if (server_.reports()[0].version() == 1) ASSERT_TRUE(server_.AwaitReports(2));
  EXPECT_EQ(server_.reports().back().version(), 6);
}

TEST_F(FollowingCommandsTest, ExecEndsARunThatTakesTooLong) {
  Play(SnapshotOf(App(4, {{"a", "1"}})));
  const auto program = Start({"exec", "app", "--timeout", "100ms", "--", "sleep", "1000"});
  ASSERT_TRUE(server_.AwaitReports(1));
  EXPECT_EQ(server_.reports()[0].outcome(), v1::OUTCOME_REJECTED);
  EXPECT_EQ(server_.reports()[0].reason(), "not done within 100ms");
}

TEST_F(FollowingCommandsTest, ExecPassesSignalsOnAndWaitsForTheCommand) {
  Play(SnapshotOf(App(4, {{"a", "1"}})));
  const auto program =
      Start({"exec", "app", "--", "sh", "-c",
             "trap 'echo told; exit 0' TERM; echo up; while :; do sleep 0.01; done"});
  ASSERT_TRUE(program->AwaitOutput("up\n"));
  program->Signal(SIGTERM);
  EXPECT_TRUE(program->AwaitOutput("told\n"));
  EXPECT_EQ(program->Wait(), kExitOk);
  EXPECT_EQ(server_.reports().size(), 0u) << "its end says nothing of the content";
}

TEST_F(FollowingCommandsTest, ExecOfWhatCannotBeRunSaysSo) {
  Play(SnapshotOf(App(4, {{"a", "1"}})));
  EXPECT_EQ(Start({"exec", "app", "--", "/nowhere/command"})->Wait(), kExitNoCommand);
  Play(SnapshotOf(App(4, {{"a", "1"}})));
  EXPECT_EQ(Start({"exec", "app", "--", "/etc/passwd"})->Wait(), kExitCannotRun);
  ASSERT_EQ(server_.reports().size(), 2u);
  EXPECT_THAT(server_.reports()[0].reason(), HasSubstr("cannot run `/nowhere/command`"));
}

TEST_F(FollowingCommandsTest, ExecOfARemovedSourceEndsWithNotFound) {
  EXPECT_EQ(Start({"exec", "app", "--", "true"})->Wait(), kExitNotFound);
}

TEST_F(FollowingCommandsTest, ExecWithASignalStartsOnceAndSignalsEachChange) {
  const std::string script =
      "trap 'echo got $(cat $CONFSTREAM_DIR/a); test $(cat $CONFSTREAM_DIR/a) = 3 && exit 7' HUP; "
      "echo up $(cat $CONFSTREAM_DIR/a); while :; do sleep 0.01; done";
  Play(SnapshotOf(App(1, {{"a", "1"}})));
  const auto program =
      Start({"exec", "app", "--dir", target_, "--signal", "HUP", "--", "sh", "-c", script});
  ASSERT_TRUE(program->AwaitOutput("up 1\n"));
  ASSERT_TRUE(server_.AwaitReports(1));
  Play(SnapshotOf(App(2, {{"a", "2"}})));
  server_.EndStreams();
  EXPECT_TRUE(program->AwaitOutput("got 2\n"));
  ASSERT_TRUE(server_.AwaitReports(2));  // the command is told first, and the stream ends next
  Play(SnapshotOf(App(3, {{"a", "3"}})));
  server_.EndStreams();
  EXPECT_TRUE(program->AwaitOutput("got 3\n"));
  EXPECT_EQ(program->Wait(), 7) << "it ends as its command does";
  ASSERT_TRUE(server_.AwaitReports(3));
  EXPECT_EQ(server_.reports()[2].outcome(), v1::OUTCOME_APPLIED);
  EXPECT_EQ(server_.reports()[2].version(), 3);
  EXPECT_EQ(server_.reports()[2].watch_id(), "watch-3");
}

TEST_F(FollowingCommandsTest, ExecWithASignalKeepsTheCommandWhenTheSourceIsRemoved) {
  WatchScript script;
  script.messages = SnapshotOf(App(1, {{"a", "1"}}));
  script.ending = grpc::Status(grpc::StatusCode::NOT_FOUND, "source `app` was removed");
  server_.Play(script);
  const auto program = Start({"exec", "app", "--signal", "HUP", "--", "sh", "-c",
                              "trap 'exit 5' TERM; echo up; while :; do sleep 0.01; done"});
  ASSERT_TRUE(program->AwaitOutput("up\n"));
  ASSERT_TRUE(program->AwaitOutput("was removed. The command runs on with version 1"));
  program->Signal(SIGTERM);
  EXPECT_EQ(program->Wait(), 5);
}

TEST_F(FollowingCommandsTest, ExecLetsArgumentsThatLookLikeOptionsOrCommandsAlone) {
  Play(SnapshotOf(App(1, {{"a", "1"}})));
  const auto program = Start({"exec", "app", "--", "echo", "--output", "ls", "-n", "--", "watch"});
  EXPECT_TRUE(program->AwaitOutput("--output ls -n -- watch\n"));
}

TEST_F(FollowingCommandsTest, ExecLeavesNoZombies) {
  for (int version = 1; version <= 3; ++version) {
    Play(SnapshotOf(App(version, {{"a", absl::StrCat(version)}})));
  }
  const auto program = Start({"exec", "app", "--", "true"});
  for (size_t report = 1; report <= 3; ++report) {
    ASSERT_TRUE(server_.AwaitReports(report));
    if (report < 3) server_.EndStreams();
  }
  const std::string children =
      absl::StrCat("/proc/", program->pid(), "/task/", program->pid(), "/children");
  ASSERT_TRUE(fs::exists(children));
  EXPECT_EQ(ReadFile(children), "");
}

}  // namespace
}  // namespace confstream
