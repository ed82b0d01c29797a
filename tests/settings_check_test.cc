#include "server/snapshot/settings_check.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace confstream {
namespace {

class SettingsCheckTest : public testing::Test {
 protected:
  bool Includes(const char* path) const { return SettingsCheck(config_).Includes(path); }

  std::vector<std::string> Broken(const std::vector<std::pair<std::string, int64_t>>& files) const {
    SettingsCheck check(config_);
    for (const auto& [path, size_bytes] : files) check.Add(path, size_bytes);
    std::vector<std::string> broken;
    for (const Violation& violation : check.Violations()) {
      broken.push_back(violation.path + " " + violation.rule);
    }
    return broken;
  }

  SourceConfig config_;
};

TEST_F(SettingsCheckTest, DirectoryThatIsExcludedTakesItsFilesWithIt) {
  config_.exclude = {*PathGlob::Parse("build"), *PathGlob::Parse("app/*.md")};
  EXPECT_FALSE(Includes("build"));
  EXPECT_FALSE(Includes("build/a/b"));
  EXPECT_TRUE(Includes("app/build/a"));
  EXPECT_FALSE(Includes("app/readme.md"));
  EXPECT_TRUE(Includes("app/a.yaml"));
}

TEST_F(SettingsCheckTest, OnlyFilesThatAreIncludedBelong) {
  config_.include = {*PathGlob::Parse("app/**.yaml")};
  EXPECT_TRUE(Includes("app/b/a.yaml"));
  EXPECT_FALSE(Includes("app/b/a.json"));
  EXPECT_FALSE(Includes("a.yaml"));
}

TEST_F(SettingsCheckTest, NamesOfAVolumesOwnNeverBelong) {
  EXPECT_FALSE(Includes("..data/a"));
  EXPECT_FALSE(Includes("a/..2026_01_01/b"));
  EXPECT_TRUE(Includes("a.."));
}

TEST_F(SettingsCheckTest, EachLimitIsHeldAndEachThatIsBrokenIsNamed) {
  config_.limits.max_file_bytes = 3;
  config_.limits.max_total_bytes = 6;
  config_.limits.max_files = 2;
  config_.limits.max_depth = 1;
  EXPECT_EQ(Broken({{"a", 3}, {"b/c", 3}}), std::vector<std::string>{});
  EXPECT_EQ(Broken({{"a", 4}, {"b", 0}}), std::vector<std::string>{"a limits.file_size"});
  EXPECT_EQ(Broken({{"a/b/c", 1}}), std::vector<std::string>{"a/b/c limits.depth"});
  EXPECT_EQ(Broken({{"a", 3}, {"b", 3}, {"c", 1}}),
            (std::vector<std::string>{" limits.files", " limits.total_size"}));
}

}  // namespace
}  // namespace confstream
