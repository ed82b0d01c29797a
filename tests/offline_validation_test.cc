#include "server/publish/offline_validation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "tests/fakes/kubelet_volume.h"
#include "tests/fakes/temporary_directory.h"

namespace confstream {
namespace {

using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class OfflineValidationTest : public ::testing::Test {
 protected:
  OfflineValidationTest() {
    source_.name = "app";
    source_.path = directory_.Path("files");
    std::filesystem::create_directory(source_.path);
  }

  void Write(const std::string& name, const std::string& text) {
    std::ofstream(directory_.Path(name), std::ios::binary) << text;
  }

  OfflineReport Validate() { return ValidateOffline(source_, &clock_, &file_system_); }

  const SystemClock clock_;
  PosixFileSystem file_system_;
  TemporaryDirectory directory_;
  SourceConfig source_;
};

TEST_F(OfflineValidationTest, ValidFilesAreCountedAndNeedNotSettle) {
  source_.settle = absl::Hours(1);
  Write("files/a.yaml", "a: 1\n");
  Write("files/b.json~", "{");
  const OfflineReport report = Validate();
  EXPECT_EQ(report.exit_code, OfflineReport::kValid);
  EXPECT_EQ(report.text, source_.path + ", as source app, is valid: 1 file\n");
}

TEST_F(OfflineValidationTest, EveryViolationHasALine) {
  Write("schema.json", R"({"properties": {"port": {"type": "integer"}}})");
  source_.rules.schemas = {{*PathGlob::Parse("*.yaml"), directory_.Path("schema.json")}};
  source_.rules.required = {*PathGlob::Parse("c")};
  Write("files/a.yaml", "host: h\nport: x\n");
  Write("files/b.yaml", "port: [\n");
  const OfflineReport report = Validate();
  EXPECT_EQ(report.exit_code, OfflineReport::kInvalid);
  EXPECT_THAT(
      report.text,
      AllOf(StartsWith(".: paths.required: no file matches `c`: "),
            HasSubstr("\na.yaml:2:7: schema: /port must be an integer, and is a string\n"),
            HasSubstr("\nb.yaml:2:1: yaml.syntax: "),
            EndsWith("\n" + source_.path + ", as source app, is not valid: 3 violations\n")));
}

TEST_F(OfflineValidationTest, AKubernetesVolumeIsReadThroughItsDataLink) {
  KubeletVolume volume(source_.path);
  volume.Swap({{"a.json", "{}"}, {"b.json", "[]"}});
  EXPECT_THAT(Validate().text, EndsWith(" is valid: 2 files\n"));
  volume.Swap({{"a.json", "{"}});
  const OfflineReport report = Validate();
  EXPECT_EQ(report.exit_code, OfflineReport::kInvalid);
  EXPECT_THAT(report.text, StartsWith("a.json:1:2: json.syntax: "));
}

TEST_F(OfflineValidationTest, ConfinementExclusionAndLimitsApply) {
  Write("outside", "");
  Write("files/kept", "12345678");
  Write("files/left-out", "123456789");
  source_.exclude = {*PathGlob::Parse("left-out")};
  source_.limits.max_file_bytes = 8;
  EXPECT_EQ(Validate().exit_code, OfflineReport::kValid) << Validate().text;
  Write("files/large", "123456789");
  EXPECT_THAT(Validate().text, StartsWith("large: limits.file_size: "));
  std::filesystem::remove(directory_.Path("files/large"));
  std::filesystem::create_symlink("../outside", directory_.Path("files/link"));
  const OfflineReport report = Validate();
  EXPECT_EQ(report.exit_code, OfflineReport::kInvalid);
  EXPECT_THAT(report.text, StartsWith("link: "));
  Write("files/b.yaml", "[");
  EXPECT_THAT(Validate().text, AllOf(StartsWith("b.yaml:1:"), HasSubstr("\nlink: "),
                                     HasSubstr(" is not valid: 2 violations\n")));
}

TEST_F(OfflineValidationTest, AnEmptyDirectoryIsJudgedAsTheServerWould) {
  EXPECT_THAT(Validate().text, StartsWith(".: source.empty: "));
  source_.allow_empty = true;
  EXPECT_EQ(Validate().exit_code, OfflineReport::kValid);
}

TEST_F(OfflineValidationTest, ASingleFileCanBeChecked) {
  Write("flags.json", "[1");
  source_.path = directory_.Path("flags.json");
  EXPECT_THAT(Validate().text, StartsWith("flags.json:1:3: json.syntax: "));
}

TEST_F(OfflineValidationTest, WhatCannotBeReadIsNeitherValidNorInvalid) {
  source_.path = directory_.Path("none");
  OfflineReport report = Validate();
  EXPECT_EQ(report.exit_code, OfflineReport::kCannotTell);
  EXPECT_THAT(report.text, AllOf(StartsWith("confstreamd: "), HasSubstr("/none")));

  source_.path = directory_.Path("files");
  source_.rules.schemas = {{*PathGlob::Parse("*"), directory_.Path("no-schema")}};
  report = Validate();
  EXPECT_EQ(report.exit_code, OfflineReport::kCannotTell);
  EXPECT_THAT(report.text, HasSubstr("no-schema: No such file"));
}

TEST_F(OfflineValidationTest, AFileThatMayNotBeReadIsNeitherValidNorInvalid) {
  if (geteuid() == 0) GTEST_SKIP() << "root may read everything";
  Write("files/a", "");
  chmod(directory_.Path("files/a").c_str(), 0);
  const OfflineReport report = Validate();
  EXPECT_EQ(report.exit_code, OfflineReport::kCannotTell);
  EXPECT_THAT(report.text, AllOf(HasSubstr("cannot be read: a: "), Not(HasSubstr("violation"))));
}

}  // namespace
}  // namespace confstream
