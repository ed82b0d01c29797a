#include "server/config/config_loader.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "server/base/unique_fd.h"
#include "server/config/config_printer.h"
#include "tests/fakes/temporary_directory.h"

namespace confstream {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;

class ConfigLoaderTest : public ::testing::Test {
 protected:
  void WriteFile(const std::string& name, const std::string& text) {
    std::ofstream(directory_.Path(name), std::ios::binary) << text;
  }

  ConfigLoader Loader(std::vector<std::string> arguments, Environment environment = {}) {
    return ConfigLoader(std::move(arguments), std::move(environment), directory_.path());
  }

  ServerConfig Load(std::vector<std::string> arguments, Environment environment = {}) {
    const auto config = Loader(std::move(arguments), std::move(environment)).Load();
    EXPECT_TRUE(config.ok()) << config.status();
    return config.ok() ? *config : ServerConfig();
  }

  std::vector<std::string> Errors(std::vector<std::string> arguments,
                                  Environment environment = {}) {
    const auto config = Loader(std::move(arguments), std::move(environment)).Load();
    EXPECT_FALSE(config.ok());
    if (config.ok()) return {};
    EXPECT_EQ(config.status().code(), absl::StatusCode::kInvalidArgument);
    return absl::StrSplit(std::string(config.status().message()), '\n');
  }

  TemporaryDirectory directory_;
};

TEST_F(ConfigLoaderTest, ASourceFlagAloneIsAWholeConfiguration) {
  const ServerConfig config = Load({"--source", "app=/etc/app"});
  ASSERT_THAT(config.sources, SizeIs(1));
  EXPECT_EQ(config.sources[0].name, "app");
  EXPECT_EQ(config.sources[0].path, "/etc/app");
  EXPECT_EQ(config.sources[0].settle, absl::Milliseconds(500));
  EXPECT_THAT(config.listen, ElementsAre("127.0.0.1:50051"));
}

TEST_F(ConfigLoaderTest, PrecedenceIsFlagThenEnvironmentThenFileSettingBySetting) {
  WriteFile("c.yaml",
            "stall_timeout: 10s\nworkers: 3\nmax_streams: 30\nlog_level: error\n"
            "sources: {app: {path: /app}}\n");
  const Environment environment = {{"CONFSTREAM_WORKERS", "4"}, {"CONFSTREAM_MAX_STREAMS", "40"}};
  const ServerConfig config =
      Load({"--config", "c.yaml", "--max-streams", "50", "--log-format=json"}, environment);
  EXPECT_EQ(config.stall_timeout, absl::Seconds(10));
  EXPECT_EQ(config.workers, 4);
  EXPECT_EQ(config.max_streams, 50);
  EXPECT_EQ(config.log_level, LogLevel::kError);
  EXPECT_EQ(config.log_format, LogFormat::kJson);
  EXPECT_EQ(config.shutdown_grace, ServerConfig().shutdown_grace);
}

TEST_F(ConfigLoaderTest, AListIsTakenWholeFromTheFirstThatGivesIt) {
  WriteFile("c.yaml", "listen: [127.0.0.1:1, 127.0.0.1:2]\nsources: {app: {path: /app}}\n");
  EXPECT_THAT(Load({"--config", "c.yaml"}).listen, ElementsAre("127.0.0.1:1", "127.0.0.1:2"));
  const Environment environment = {{"CONFSTREAM_LISTEN", "127.0.0.1:3, [::1]:4\nunix:/run/s"}};
  EXPECT_THAT(Load({"--config", "c.yaml"}, environment).listen,
              ElementsAre("127.0.0.1:3", "[::1]:4", "unix:/run/s"));
  EXPECT_THAT(
      Load({"--config", "c.yaml", "--listen", "[::1]:5", "--listen", "localhost:6"}, environment)
          .listen,
      ElementsAre("[::1]:5", "localhost:6"));
}

TEST_F(ConfigLoaderTest, AFlagCanTakeBackWhatTheFileSwitchedOn) {
  WriteFile("c.yaml", "allow_plaintext: true\nlog_format: json\nsources: {app: {path: /app}}\n");
  EXPECT_TRUE(Load({"--config", "c.yaml"}).allow_plaintext);
  const ServerConfig config =
      Load({"--config", "c.yaml", "--allow-plaintext=false", "--log-format", "auto"});
  EXPECT_FALSE(config.allow_plaintext);
  EXPECT_FALSE(config.log_format.has_value());
}

TEST_F(ConfigLoaderTest, AnEmptyVariableIsUnsetAndForeignOnesAreIgnored) {
  EXPECT_EQ(Load({"--source=a=/a"}, {{"CONFSTREAM_WORKERS", ""},
                                     {"CONFSTREAM_CONFIG", ""},
                                     {"CONFSTREAM_SERVICE_HOST", "10.0.0.1"},
                                     {"CONFSTREAM_PORT", "tcp://10.0.0.1:50051"}})
                .workers,
            ServerConfig().workers);
}

TEST_F(ConfigLoaderTest, TheEnvironmentNamesFileAndSources) {
  WriteFile("c.yaml", "workers: 7\n");
  const ServerConfig config =
      Load({}, {{"CONFSTREAM_CONFIG", "c.yaml"}, {"CONFSTREAM_SOURCES", "b=/b, a=/a=x\n"}});
  EXPECT_EQ(config.workers, 7);
  ASSERT_THAT(config.sources, SizeIs(2));
  EXPECT_EQ(config.sources[0].name, "a");
  EXPECT_EQ(config.sources[0].path, "/a=x");
  EXPECT_EQ(config.sources[1].name, "b");
}

TEST_F(ConfigLoaderTest, ASourceFlagGivesASourceOfTheFileAnotherPathAndLeavesItsSettings) {
  WriteFile("c.yaml",
            "defaults: {max_delay: 9s}\n"
            "sources:\n  app: {path: /app, settle: 2s}\n  web: {path: /web}\n");
  const ServerConfig config = Load({"--config=c.yaml", "--source=app=/elsewhere", "--source=x=/x"},
                                   {{"CONFSTREAM_SOURCES", "app=/overridden,web=/environment"}});
  ASSERT_THAT(config.sources, SizeIs(3));
  EXPECT_EQ(config.sources[0].path, "/elsewhere");
  EXPECT_EQ(config.sources[0].settle, absl::Seconds(2));
  EXPECT_EQ(config.sources[1].path, "/environment");
  EXPECT_EQ(config.sources[2].path, "/x");
  EXPECT_EQ(config.sources[2].max_delay, absl::Seconds(9)) << "defaults hold for flags' sources";
}

TEST_F(ConfigLoaderTest, RelativePathsAreRelativeToWhoeverGivesThem) {
  ASSERT_TRUE(std::filesystem::create_directory(directory_.Path("sub")));
  WriteFile("sub/c.yaml",
            "listen: [unix:s.sock]\n"
            "sources: {file: {path: ./vol/../v/, link_roots: [roots]}}\n");
  const ServerConfig config = Load({"--config", "sub/c.yaml", "--source", "flag=x"});
  ASSERT_THAT(config.sources, SizeIs(2));
  EXPECT_EQ(config.sources[0].path, directory_.Path("sub/vol/../v")) << "`..` may pass a link";
  EXPECT_THAT(config.sources[0].link_roots, ElementsAre(directory_.Path("sub/roots")));
  EXPECT_EQ(config.sources[1].path, directory_.Path("x"));
  EXPECT_THAT(config.listen, ElementsAre("unix:" + directory_.Path("sub/s.sock")));
}

TEST_F(ConfigLoaderTest, NoSourceAtAllIsAnErrorWithRemedies) {
  EXPECT_THAT(Errors({}),
              ElementsAre(AllOf(HasSubstr("--source NAME=PATH"), HasSubstr("CONFSTREAM_SOURCES"),
                                HasSubstr("sources:"))));
}

TEST_F(ConfigLoaderTest, EveryErrorOfEveryOriginIsToldAtOnceWithItsPlaceAndRemedy) {
  WriteFile("c.yaml",
            "stal_timeout: 30s\n"
            "workers: many\n"
            "defaults: {settle: 5 parsecs}\n"
            "sources:\n"
            "  app: {path: /app, settle: 10s, max_delay: 5s}\n"
            "  app: {path: /app2}\n"
            "  Bad: {path: /bad}\n");
  EXPECT_THAT(
      Errors({"--config", "c.yaml", "--source", "pathless", "--max-streams=0"},
             {{"CONFSTREAM_SHUTDOWN_GRACE", "-1s"}}),
      ElementsAre(
          "--max-streams `0` is out of bounds: it can be from 1 to 1000000",
          "--source `pathless` has no `=`: write NAME=PATH",
          "CONFSTREAM_SHUTDOWN_GRACE `-1s` is out of bounds: it can be from 0 to 10m",
          "c.yaml:1:1: unknown key `stal_timeout`: did you mean `stall_timeout`?",
          "c.yaml:2:10: workers `many` is not a number: write one from 1 to 256",
          "c.yaml:3:20: settle `5 parsecs` is not a duration: write numbers with the units ns, us, "
          "ms, s, m or h, for example 500ms or 1m30s",
          "c.yaml:5:29: source app: settle 10s is longer than max_delay 5s: lower settle or raise "
          "max_delay",
          "c.yaml:6:3: `app` is there already, on line 5: keep one of them",
          StartsWith("c.yaml:7:3: source `Bad` is not the name of a source: write 1 to 63")));
}

TEST_F(ConfigLoaderTest, PipeThatNobodyWritesToIsRefusedAndOneThatSomebodyDoesIsRead) {
  const std::string pipe = directory_.Path("pipe");
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_THAT(Errors({"--config", pipe}),
              ElementsAre(HasSubstr(pipe + ": nobody writes to this pipe")));
  // As a shell's `<(...)`, by somebody who takes his time.
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  const UniqueFd reading(ends[0]);
  std::thread writer([end = ends[1]] {
    const UniqueFd writing(end);
    EXPECT_EQ(write(writing.get(), "sources: {", 10), 10);
    absl::SleepFor(absl::Milliseconds(20));
    EXPECT_EQ(write(writing.get(), "a: {path: /a}}", 14), 14);
  });
  const ServerConfig config = Load({"--config", absl::StrCat("/proc/self/fd/", reading.get())});
  writer.join();
  EXPECT_THAT(config.sources, SizeIs(1));
}

TEST_F(ConfigLoaderTest, PipeThatSomebodyHoldsOpenAndDoesNotWriteToIsNotWaitedForForEver) {
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  const UniqueFd reading(ends[0]);
  const UniqueFd silent(ends[1]);
  EXPECT_THAT(Errors({"--config", absl::StrCat("/proc/self/fd/", reading.get())}),
              ElementsAre(HasSubstr("whoever writes to this pipe has not ended within")));
}

TEST_F(ConfigLoaderTest, ErrorsOfAFileComeInTheOrderOfItsLines) {
  WriteFile("c.yaml",
            "sources:\n"
            "  a: {path: /a, settle: x}\n"
            "\n\n\n\n\n\n"
            "  b: {path: /b, settle: x}\n"
            "  c: {setle: 1s, settle: x}\n"
            "workers: many\n");
  EXPECT_THAT(Errors({"--config", "c.yaml"}),
              ElementsAre(StartsWith("c.yaml:2:25: "), StartsWith("c.yaml:9:25: "),
                          StartsWith("c.yaml:10:3: "), StartsWith("c.yaml:10:7: "),
                          StartsWith("c.yaml:10:26: "), StartsWith("c.yaml:11:10: ")));
}

TEST_F(ConfigLoaderTest, TwoSourcesOfOneNameAreRefusedWithinOneOrigin) {
  EXPECT_THAT(Errors({"--source=a=/1", "--source=a=/2"}),
              ElementsAre("--source `a` is there twice: sources need different names"));
  EXPECT_THAT(Errors({}, {{"CONFSTREAM_SOURCES", "a=/1,a=/2"}}),
              ElementsAre("CONFSTREAM_SOURCES `a` is there twice: sources need different names"));
}

TEST_F(ConfigLoaderTest, PlaintextBeyondLoopbackNeedsConsent) {
  for (const char* address : {"0.0.0.0:0", "[::]:1", "192.0.2.1:1", "host.example:1"}) {
    EXPECT_THAT(Errors({"--source=a=/a", "--listen", address}),
                ElementsAre(AllOf(HasSubstr(address), HasSubstr("--allow-plaintext"))));
    EXPECT_THAT(Load({"--source=a=/a", "--listen", address, "--allow-plaintext"}).listen,
                ElementsAre(address));
  }
  WriteFile("c.yaml", "listen: [127.0.0.1:1, '0.0.0.0:2']\nsources: {a: {path: /a}}\n");
  EXPECT_THAT(Errors({"--config=c.yaml"}), ElementsAre(StartsWith("c.yaml:1:9: other machines")));
}

TEST_F(ConfigLoaderTest, OneAddressTwiceIsRefusedUnlessTheKernelChoosesThePort) {
  EXPECT_THAT(Errors({"--source=a=/a", "--listen=127.0.0.1:7", "--listen=127.0.0.1:7"}),
              ElementsAre(HasSubstr("127.0.0.1:7 twice")));
  EXPECT_THAT(Load({"--source=a=/a", "--listen=127.0.0.1:0", "--listen=127.0.0.1:0"}).listen,
              SizeIs(2));
}

TEST_F(ConfigLoaderTest, TheAdminServiceIsOffUnlessAFlagTurnsItOn) {
  EXPECT_THAT(Load({"--source=a=/a"}).admin_listen, IsEmpty());
  EXPECT_FALSE(Load({"--source=a=/a"}).admin);
  EXPECT_TRUE(Load({"--source=a=/a", "--admin"}).admin);
  EXPECT_THAT(Load({"--source=a=/a", "--admin-listen=127.0.0.1:7", "--admin-listen=unix:x"},
                   {{"CONFSTREAM_ADMIN_LISTEN", "127.0.0.1:8"}})
                  .admin_listen,
              ElementsAre("127.0.0.1:7", "unix:" + directory_.Path("x")));
}

TEST_F(ConfigLoaderTest, AdminAddressesFollowTheRulesOfOthersAndAreTheirOwn) {
  EXPECT_THAT(Errors({"--source=a=/a", "--admin-listen=0.0.0.0:7"}),
              ElementsAre(AllOf(StartsWith("--admin-listen: other machines can reach 0.0.0.0:7"),
                                HasSubstr("--allow-plaintext"))));
  EXPECT_THAT(Errors({"--source=a=/a", "--admin-listen=127.0.0.1:7", "--admin-listen=127.0.0.1:7"}),
              ElementsAre(HasSubstr("admin_listen has the address 127.0.0.1:7 twice")));
  EXPECT_THAT(Errors({"--source=a=/a", "--admin-listen=127.0.0.1:50051"}),
              ElementsAre(AllOf(HasSubstr("has the address 127.0.0.1:50051, and so has listen"),
                                HasSubstr("--admin"))));
  EXPECT_THAT(
      Load({"--source=a=/a", "--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0"}).admin_listen,
      SizeIs(1));
}

TEST_F(ConfigLoaderTest, MetricsAreOffUnlessTheyHaveAnAddress) {
  EXPECT_THAT(Load({"--source=a=/a"}).metrics_listen, IsEmpty());
  EXPECT_THAT(
      Load({"--source=a=/a", "--metrics-listen=127.0.0.1:7", "--metrics-listen=localhost:8"},
           {{"CONFSTREAM_METRICS_LISTEN", "127.0.0.1:9"}})
          .metrics_listen,
      ElementsAre("127.0.0.1:7", "localhost:8"));
  EXPECT_THAT(Load({"--source=a=/a"}, {{"CONFSTREAM_METRICS_LISTEN", "127.0.0.1:9,127.0.0.2:9"}})
                  .metrics_listen,
              ElementsAre("127.0.0.1:9", "127.0.0.2:9"));
  WriteFile("c.yaml", "metrics_listen: ['127.0.0.1:0', '127.0.0.1:0']\nsources: {a: {path: /a}}\n");
  EXPECT_THAT(Load({"--config=c.yaml"}).metrics_listen, SizeIs(2));
}

TEST_F(ConfigLoaderTest, MetricsAddressesAreOfTheirOwnAndNeedConsentBeyondLoopback) {
  EXPECT_THAT(Errors({"--source=a=/a", "--metrics-listen=0.0.0.0:7"}),
              ElementsAre(AllOf(StartsWith("--metrics-listen: other machines can reach 0.0.0.0:7"),
                                HasSubstr("--allow-plaintext"), Not(HasSubstr("unix:")))));
  EXPECT_THAT(
      Load({"--source=a=/a", "--metrics-listen=0.0.0.0:7", "--allow-plaintext"}).metrics_listen,
      ElementsAre("0.0.0.0:7"));
  EXPECT_THAT(
      Errors({"--source=a=/a", "--metrics-listen=127.0.0.1:50051"}),
      ElementsAre("--metrics-listen: metrics_listen has the address 127.0.0.1:50051, and so has "
                  "listen: metrics need an address of their own"));
  EXPECT_THAT(
      Errors({"--source=a=/a", "--metrics-listen=127.0.0.1:7", "--metrics-listen=127.0.0.1:7"}),
      ElementsAre(HasSubstr("metrics_listen has the address 127.0.0.1:7 twice: keep one")));
}

TEST_F(ConfigLoaderTest, MetricsAddressThatTheHttpServerCannotListenOnIsRefusedWithTheRemedy) {
  for (const std::string address : {"unix:/run/m", "[::1]:9464", "[::]:9464", "9464", ":9464"}) {
    EXPECT_THAT(Errors({"--source=a=/a", "--metrics-listen=" + address}),
                ElementsAre("--metrics-listen `" + address +
                            "` is not an address for metrics: write HOST:PORT with a name or an "
                            "IPv4 address, for example 127.0.0.1:9464"));
  }
}

TEST_F(ConfigLoaderTest, TheStateDirectoryIsAbsoluteAndCanBeTakenBack) {
  WriteFile("c.yaml", "state_dir: var\nsources: {a: {path: /a}}\n");
  EXPECT_EQ(Load({"--config=c.yaml"}).state_dir, directory_.Path("var"));
  EXPECT_EQ(Load({"--config=c.yaml", "--state-dir", "/x"}).state_dir, "/x");
  EXPECT_EQ(Load({"--config=c.yaml", "--state-dir", ""}).state_dir, "");
  EXPECT_EQ(Load({"--source=a=/a"}, {{"CONFSTREAM_STATE_DIR", "/y"}}).state_dir, "/y");
}

TEST_F(ConfigLoaderTest, RulesOfASourceComeFromTheFileAndReplaceTheDefaults) {
  WriteFile("s.json", "{}");
  WriteFile("c.yaml",
            "defaults: {rules: {required: [x], checksums: SUMS}, history: {max_versions: 7}}\n"
            "sources:\n  a: {path: /a, rules: {required: [y, z], schemas: ['*\\==s.json']}}\n");
  const SourceConfig source = Load({"--config=c.yaml"}).sources[0];
  EXPECT_THAT(source.rules.required, ElementsAre(*PathGlob::Parse("y"), *PathGlob::Parse("z")));
  EXPECT_EQ(source.rules.checksums, "SUMS");
  EXPECT_EQ(source.retention.max_versions, 7);
  ASSERT_THAT(source.rules.schemas, SizeIs(1));
  EXPECT_TRUE(source.rules.schemas[0].glob.Matches("b="));
  EXPECT_EQ(source.rules.schemas[0].schema_file, directory_.Path("s.json"));
}

TEST_F(ConfigLoaderTest, RulesThatCannotBeUnderstoodAreToldWithTheirPlaces) {
  WriteFile("c.yaml",
            "sources:\n  a:\n    path: /a\n    rules:\n      required: ['']\n"
            "      checksums: ../SUMS\n      schemas: [no-equals, '=s', 'a=', 'a\\=s.json']\n");
  EXPECT_THAT(
      Errors({"--config=c.yaml"}),
      ElementsAre(HasSubstr("c.yaml:5:18: required `` cannot be used: a path glob is empty"),
                  HasSubstr("c.yaml:6:18: checksums `../SUMS` is not the path of a file"),
                  HasSubstr("c.yaml:7:17: schemas `no-equals` has no `=`: write GLOB="),
                  HasSubstr("c.yaml:7:28: schemas `=s` cannot be used: a path glob is emp"),
                  HasSubstr("c.yaml:7:34: schemas `a=` has a schema file whose path is emp"),
                  HasSubstr("c.yaml:7:40: schemas `a\\\\=s.json` has no `=`")));
}

TEST_F(ConfigLoaderTest, SchemaFilesAreReadWithTheConfigurationAndTheirMistakesToldWithPlaces) {
  WriteFile("bad.json", "{\n \"type\": \"strnig\"}");
  WriteFile("c.yaml",
            "sources:\n  a: {path: /a, rules: {schemas: ['*=bad.json', '*=none.json']}}\n");
  const std::vector<std::string> errors = Errors({"--config=c.yaml"});
  EXPECT_THAT(errors,
              ElementsAre(AllOf(StartsWith("c.yaml:2:34: source a: "),
                                HasSubstr("/bad.json:2:10: this is no JSON Schema of draft 7: ")),
                          AllOf(StartsWith("c.yaml:2:34: source a: cannot read the schema file "),
                                HasSubstr("/none.json: No such file"), HasSubstr("create it"))));
  const ConfigLoader loader = Loader({"--config=c.yaml", "--check-config"});
  EXPECT_EQ(loader.Begin().exit_code, ConfigLoader::kBadConfigExitCode);
  WriteFile("bad.json", "{}");
  WriteFile("none.json", "{}");
  EXPECT_EQ(loader.Begin().exit_code, 0) << loader.Begin().text;
}

TEST_F(ConfigLoaderTest, TheOnlySourceIsTheOneWhoseRulesFilesAreValidatedBy) {
  WriteFile("c.yaml", "sources: {a: {path: /a, settle: 2s}}\n");
  for (const char* argument : {"x", "a=x", "./a=x"}) {
    const ConfigLoader::Start start = Loader({"--config=c.yaml", "--validate", argument}).Begin();
    ASSERT_TRUE(start.validate.has_value()) << start.text;
    EXPECT_FALSE(start.config.has_value());
    EXPECT_EQ(start.validate->name, "a");
    EXPECT_EQ(start.validate->settle, absl::Seconds(2));
    EXPECT_EQ(start.validate->path, directory_.Path(argument[0] == '.' ? "a=x" : "x"));
  }
}

TEST_F(ConfigLoaderTest, OfSeveralSourcesTheOneToValidateByIsNamed) {
  WriteFile("c.yaml", "sources: {app: {path: /a}, web: {path: /w, settle: 3s}}\n");
  const auto begin = [&](std::vector<std::string> arguments) {
    arguments.emplace_back("--config=c.yaml");
    return Loader(arguments).Begin();
  };
  EXPECT_EQ(begin({"--validate=web=/x"}).validate->settle, absl::Seconds(3));
  const ConfigLoader::Start start = begin({"--validate=/x"});
  EXPECT_EQ(start.exit_code, ConfigLoader::kBadConfigExitCode);
  EXPECT_EQ(start.text,
            "confstreamd: --validate `/x` does not say by which source's rules: write NAME=DIR, "
            "with one of app, web\n");
  EXPECT_THAT(begin({"--validate=wen=/x"}).text, HasSubstr("names no source: did you mean web?"));
  EXPECT_THAT(begin({"--validate=web="}).text, HasSubstr("is empty: write a path"));
  EXPECT_THAT(begin({"--validate=a", "--validate=b"}).text, HasSubstr("--validate is there twice"));
}

TEST_F(ConfigLoaderTest, AnEmptyListOfAddressesIsRefused) {
  WriteFile("c.yaml", "listen: []\nsources: {a: {path: /a}}\n");
  EXPECT_THAT(Errors({"--config=c.yaml"}), ElementsAre(StartsWith("c.yaml:1:9: listen has no")));
}

TEST_F(ConfigLoaderTest, SlipsOnTheCommandLineAreExplained) {
  EXPECT_THAT(Errors({"--sorce", "a=b"}),
              ElementsAre("unknown flag `--sorce`: did you mean --source?"));
  EXPECT_THAT(Errors({"--source=a=/a", "--wokers=3"}),
              ElementsAre("unknown flag `--wokers=3`: did you mean --workers?"));
  EXPECT_THAT(Errors({"a=/a"}),
              ElementsAre("unexpected argument `a=/a`: sources are given as --source NAME=PATH"));
  EXPECT_THAT(Errors({"--source=a=/a", "--workers=1", "--workers=2"}),
              ElementsAre("--workers is there twice: keep one of them"));
  EXPECT_THAT(Errors({"--source=a=/a", "--workers"}), ElementsAre(StartsWith("--workers: ")));
  EXPECT_THAT(Errors({"--source=a=/a", "--log-level=inof"}),
              ElementsAre(HasSubstr("did you mean info?")));
}

TEST_F(ConfigLoaderTest, AMissingOrUnreadableFileIsNamed) {
  EXPECT_THAT(
      Errors({"--config=none.yaml"}),
      ElementsAre("cannot read the configuration file none.yaml: No such file or directory"));
  EXPECT_THAT(Errors({"--config=."}),
              ElementsAre("cannot read the configuration file .: Is a directory"));
  WriteFile("large.yaml", std::string((1 << 20) + 1, '\n'));
  EXPECT_THAT(Errors({"--config=large.yaml"}), ElementsAre(HasSubstr("larger than 1MiB")));
}

TEST_F(ConfigLoaderTest, LoadingAgainReadsTheFileAnewAndKeepsTheFlags) {
  WriteFile("c.yaml", "workers: 3\nsources: {a: {path: /a}}\n");
  const ConfigLoader loader = Loader({"--config=c.yaml", "--max-streams=5"});
  ASSERT_TRUE(loader.Load().ok());
  WriteFile("c.yaml", "workers: 4\nmax_streams: 6\nsources: {b: {path: /b}}\n");
  const auto config = loader.Load();
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->workers, 4);
  EXPECT_EQ(config->max_streams, 5);
  EXPECT_EQ(config->sources[0].name, "b");
  WriteFile("c.yaml", "workers: [\n");
  EXPECT_THAT(std::string(loader.Load().status().message()), StartsWith("c.yaml:2:1: "));
}

TEST_F(ConfigLoaderTest, BeginServesOrPrintsWhatWasAskedFor) {
  ConfigLoader::Start start = Loader({"--source=a=/a"}).Begin();
  ASSERT_TRUE(start.config.has_value());
  EXPECT_EQ(start.config->sources[0].path, "/a");

  start = Loader({"--help", "--nonsense"}).Begin();
  EXPECT_FALSE(start.config.has_value());
  EXPECT_EQ(start.exit_code, 0);
  EXPECT_THAT(start.text, AllOf(HasSubstr("--source NAME=PATH"), HasSubstr("Examples:"),
                                HasSubstr("CONFSTREAM_STALL_TIMEOUT"), HasSubstr("Default: 1m")));

  start = Loader({"--version"}).Begin();
  EXPECT_EQ(start.exit_code, 0);
  EXPECT_THAT(start.text, ::testing::MatchesRegex("confstreamd [0-9]+\\.[0-9]+\\.[0-9]+\n"));

  start = Loader({"--check-config", "--source=a=/a"}).Begin();
  EXPECT_FALSE(start.config.has_value());
  EXPECT_EQ(start.exit_code, 0);
  EXPECT_EQ(start.text, "configuration is valid: 1 source, listening on 127.0.0.1:50051\n");

  start = Loader({"--check-config", "--source=a=/a", "--workers=x"}).Begin();
  EXPECT_FALSE(start.config.has_value());
  EXPECT_EQ(start.exit_code, ConfigLoader::kBadConfigExitCode);
  EXPECT_THAT(start.text, StartsWith("confstreamd: --workers `x` is not a number"));
}

TEST_F(ConfigLoaderTest, HelpFitsATerminalOfAHundredColumns) {
  for (const absl::string_view line : absl::StrSplit(Loader({"-h"}).Begin().text, '\n')) {
    EXPECT_LE(line.size(), 100u) << line;
  }
}

TEST_F(ConfigLoaderTest, WhatIsPrintedIsReadBackToTheSame) {
  // Every setting has another value than its default.
  WriteFile("s=chema.json", "{}");
  const std::string odd = "/\xc3\xa9 \"quoted\" \\ # not: a comment \xe2\x80\xa8\xc2\xa0'";
  WriteFile("c.yaml",
            "listen: ['0.0.0.0:1', '[::1]:0', 'unix:/run/s']\nallow_plaintext: true\n"
            "log_format: text\nlog_level: debug\nstall_timeout: 1m30s\nshutdown_grace: 0\n"
            "max_streams: 1\nmax_streams_per_connection: 2\nmax_views_per_source: 3\n"
            "max_encoded_size: 3MiB\nreflection_threads: 5\nworkers: 6\n"
            "admin_listen: ['127.0.0.1:7', 'unix:/run/admin']\nadmin: true\nstate_dir: state\n"
            "metrics_listen: ['127.0.0.1:9464']\n"
            "sources:\n"
            "  null:\n    path: /null\n    settle: 1.5s\n    max_delay: 1m\n"
            "    rescan_interval: 2h\n    include: ['**.yaml', '~', 'a, b]', \"\\a\\x7f\"]\n"
            "    exclude: ['\\*']\n    link_roots: [/]\n    required: false\n"
            "    allow_empty: true\n    sensitive: true\n"
            "    rules: {required: ['a b'], forbidden: ['**.key', '#'], checksums: d/SUMS,\n"
            "            schemas: ['**\\=*.yaml=s=chema.json', '*.json=s=chema.json']}\n"
            "    history: {max_versions: 3, max_age: 1h30m, max_size: 0}\n"
            "    limits: {max_file_size: 4097, max_total_size: 2GiB, max_files: 7, max_depth: 0,\n"
            "             max_nesting: 8, max_alias_nodes: 0}\n"
            "  \"1\": {path: /one}\n");
  const ConfigLoader::Start first =
      Loader({"--config=c.yaml", "--print-config", "--source", "odd=" + odd}).Begin();
  ASSERT_EQ(first.exit_code, 0) << first.text;
  WriteFile("printed.yaml", first.text);
  const ServerConfig given = Load({"--config=c.yaml", "--source", "odd=" + odd});
  const ServerConfig read = Load({"--config=printed.yaml"});
  EXPECT_EQ(PrintConfig(read, {}), PrintConfig(given, {}));
  ASSERT_THAT(read.sources, SizeIs(3));
  EXPECT_EQ(read.sources[0].name, "1");
  EXPECT_EQ(read.sources[1].settle, absl::Milliseconds(1500));
  EXPECT_EQ(read.sources[1].limits.max_file_bytes, 4097);
  EXPECT_TRUE(read.sources == given.sources);
  EXPECT_EQ(read.admin_listen, given.admin_listen);
  EXPECT_EQ(read.metrics_listen, given.metrics_listen);
  EXPECT_EQ(read.state_dir, directory_.Path("state"));
  ASSERT_THAT(read.sources[1].rules.schemas, SizeIs(2));
  EXPECT_EQ(read.sources[1].rules.schemas[0].glob.pattern(), "**\\=*.yaml");
  EXPECT_EQ(read.sources[1].rules.schemas[0].schema_file, directory_.Path("s=chema.json"));
  EXPECT_EQ(read.sources[2].path, odd);
}

TEST_F(ConfigLoaderTest, WhatIsPrintedNamesTheOriginOfWhatIsNoDefault) {
  WriteFile("c.yaml", "log_level: debug\nsources:\n  a:\n    path: /a\n    settle: 1s\n");
  const std::string text = Loader({"--config=c.yaml", "--workers=9", "--print-config"},
                                  {{"CONFSTREAM_MAX_STREAMS", "4"}})
                               .Begin()
                               .text;
  EXPECT_THAT(text, AllOf(HasSubstr("\nlog_level: debug  # c.yaml:1:12\n"),
                          HasSubstr("\nworkers: 9  # --workers\n"),
                          HasSubstr("\nmax_streams: 4  # CONFSTREAM_MAX_STREAMS\n"),
                          HasSubstr("\n    settle: 1s  # c.yaml:5:13\n"),
                          HasSubstr("\nstall_timeout: 1m\n")));
}

TEST_F(ConfigLoaderTest, TheExampleIsValid) {
  const ServerConfig config =
      Load({"--config", CONFSTREAM_TEST_SOURCE_DIR "/examples/confstream.yaml"});
  ASSERT_THAT(config.sources, SizeIs(4));
  EXPECT_EQ(config.sources[0].name, "feature-flags");
  EXPECT_FALSE(config.sources[0].required);
  EXPECT_TRUE(config.sources[1].sensitive);
  EXPECT_EQ(config.sources[3].name, "routing");
  EXPECT_EQ(config.sources[3].settle, absl::Seconds(2));
  EXPECT_THAT(config.sources[3].include, SizeIs(2));
  EXPECT_THAT(config.sources[3].rules.schemas, SizeIs(1));
}

}  // namespace
}  // namespace confstream
