#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/str_split.h"
#include "server/validate/schema_set.h"
#include "tests/fakes/temporary_directory.h"

namespace confstream {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::StartsWith;

class SchemaSetTest : public ::testing::Test {
 protected:
  void Write(const std::string& name, const std::string& text) {
    std::ofstream(directory_.Path(name), std::ios::binary) << text;
  }

  void AddRule(const std::string& glob, const std::string& name) {
    rules_.schemas.push_back({*PathGlob::Parse(glob), directory_.Path(name)});
  }

  std::shared_ptr<const SchemaSet> Load() {
    const auto set = SchemaSet::Load(rules_);
    EXPECT_TRUE(set.ok()) << set.status();
    return set.ok() ? *set : nullptr;
  }

  std::vector<std::string> Errors() {
    const auto set = SchemaSet::Load(rules_);
    EXPECT_FALSE(set.ok());
    EXPECT_EQ(set.status().code(), absl::StatusCode::kInvalidArgument);
    return absl::StrSplit(std::string(set.status().message()), '\n');
  }

  TemporaryDirectory directory_;
  SourceRules rules_;
};

TEST_F(SchemaSetTest, NoRulesMakeASetThatIsAlwaysCurrent) {
  const auto set = Load();
  EXPECT_THAT(set->For("a.yaml"), IsEmpty());
  EXPECT_TRUE(set->IsCurrent());
}

TEST_F(SchemaSetTest, AFileGetsTheSchemasOfEveryGlobThatMatchesIt) {
  Write("a.json", "{}");
  Write("b.json", "{}");
  AddRule("**.yaml", "a.json");
  AddRule("x/*", "b.json");
  AddRule("**.json", "a.json");
  const auto set = Load();
  EXPECT_THAT(set->For("f.toml"), IsEmpty());
  ASSERT_THAT(set->For("x/f.yaml"), SizeIs(2));
  EXPECT_EQ(set->For("f.json"), set->For("f.yaml")) << "the file is read once";
}

TEST_F(SchemaSetTest, EveryMistakeInEveryFileIsToldAtOnce) {
  Write("a.json", "{\n\"type\": 1}");
  Write("large.json", std::string(SchemaSet::kMaxFileBytes + 1, ' '));
  AddRule("1", "a.json");
  AddRule("2", "none.json");
  AddRule("3", ".");
  AddRule("4", "a.json");
  AddRule("5", "large.json");
  EXPECT_THAT(
      Errors(),
      ElementsAre(StartsWith(directory_.Path("a.json") + ":2:9: this is no JSON Schema"),
                  AllOf(HasSubstr("none.json: No such file or directory"), HasSubstr("create it")),
                  HasSubstr("it is no file"), HasSubstr("it has more than 1048576 bytes")));
}

TEST_F(SchemaSetTest, ADeviceIsNoSchemaFile) {
  rules_.schemas.push_back({*PathGlob::Parse("*"), "/dev/zero"});
  EXPECT_THAT(Errors(), ElementsAre(HasSubstr("it is no file")));
}

TEST_F(SchemaSetTest, WritingReplacingAndRemovingAFileIsNoticedAlsoBehindALink) {
  Write("a.json", "{}");
  Write("b.json", "{}");
  std::filesystem::create_symlink("a.json", directory_.Path("link.json"));
  AddRule("*", "link.json");
  auto set = Load();
  EXPECT_TRUE(set->IsCurrent());
  Write("a.json", "true ");
  EXPECT_FALSE(set->IsCurrent());

  set = Load();
  std::filesystem::create_symlink("b.json", directory_.Path("tmp"));
  std::filesystem::rename(directory_.Path("tmp"), directory_.Path("link.json"));
  EXPECT_FALSE(set->IsCurrent());

  set = Load();
  EXPECT_TRUE(set->IsCurrent());
  std::filesystem::remove(directory_.Path("b.json"));
  EXPECT_FALSE(set->IsCurrent());
}

TEST_F(SchemaSetTest, AsOfNowTheSchemasStayAndTheFilesCountAsSeenUntilTheyChangeAgain) {
  Write("a.json", "{}");
  AddRule("*", "a.json");
  const auto set = Load();
  Write("a.json", "broken");
  EXPECT_FALSE(set->IsCurrent());
  const auto seen = set->AsOfNow();
  EXPECT_TRUE(seen->IsCurrent());
  EXPECT_EQ(seen->For("f.yaml"), set->For("f.yaml"));
  std::filesystem::remove(directory_.Path("a.json"));
  EXPECT_FALSE(seen->IsCurrent());
  EXPECT_TRUE(seen->AsOfNow()->IsCurrent()) << "missing, as it was when it was looked at";
  Write("a.json", "{}");
  EXPECT_FALSE(seen->AsOfNow()->IsCurrent() && seen->IsCurrent());
}

}  // namespace
}  // namespace confstream
