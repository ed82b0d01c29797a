#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/base/text.h"
#include "server/validate/validator.h"

namespace confstream {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

std::shared_ptr<FileContent> Content(absl::string_view bytes) {
  auto content = std::make_shared<FileContent>();
  content->bytes = std::string(bytes);
  return content;
}

Generation Of(const std::vector<std::pair<std::string, std::string>>& files) {
  Generation generation;
  for (const auto& file : files) generation.files.push_back({file.first, Content(file.second)});
  return generation;
}

std::vector<std::string> Rules(const Validator::Verdict& verdict) {
  std::vector<std::string> rules;
  for (const Violation& violation : verdict.violations) {
    rules.push_back(absl::StrCat(violation.path, " ", violation.rule));
  }
  return rules;
}

TEST(ValidatorTest, TheExtensionSelectsTheRulesWhateverItsCase) {
  Validator validator(SourceConfig(), nullptr);
  const auto verdict = validator.Validate(Of({{"a.YAML", "["},
                                              {"b.Yml", "["},
                                              {"c.json", "["},
                                              {"d.Toml", "["},
                                              {"e.txt", "[\xff"},
                                              {"f.yaml.bak", "["},
                                              {"json", "["}}));
  EXPECT_FALSE(verdict.ok());
  EXPECT_EQ(verdict.total, 4);
  EXPECT_THAT(Rules(verdict), ElementsAre("a.YAML yaml.syntax", "b.Yml yaml.syntax",
                                          "c.json json.syntax", "d.Toml toml.syntax"));
}

TEST(ValidatorTest, EmptyFilesAreValidYamlAndTomlButNotJson) {
  Validator validator(SourceConfig(), nullptr);
  const auto verdict = validator.Validate(Of({{"a.json", ""}, {"b.toml", ""}, {"c.yaml", ""}}));
  EXPECT_THAT(Rules(verdict), ElementsAre("a.json json.syntax"));
}

TEST(ValidatorTest, Utf8IsCheckedFirstAndItsPlaceCountsCharacters) {
  Validator validator(SourceConfig(), nullptr);
  const auto verdict = validator.Validate(Of({{"a.yaml", "[\n\xc3\xa9\xf0\x9f\x98\x80: \xff\n"}}));
  ASSERT_THAT(verdict.violations, SizeIs(1));
  EXPECT_EQ(verdict.violations[0].rule, "text.utf8");
  EXPECT_EQ(verdict.violations[0].line, 2);
  EXPECT_EQ(verdict.violations[0].column, 5);
  EXPECT_THAT(verdict.violations[0].message, HasSubstr("0xff"));
}

TEST(ValidatorTest, WhatWasRefusedIsToldWithTheRestAndNothingIsSaidToBeMissing) {
  SourceConfig config;
  config.rules.required = {*PathGlob::Parse("b.yaml")};
  config.rules.checksums = "SHA256SUMS";
  Validator validator(config, nullptr);
  const std::vector<Violation> refused = {{"b.yaml", 0, 0, "link.outside", "leads away"}};
  const auto verdict = validator.Validate(Of({{"a.yaml", "["}, {"c.yaml", "["}}), refused);
  EXPECT_EQ(verdict.total, 3);
  EXPECT_THAT(Rules(verdict),
              ElementsAre("a.yaml yaml.syntax", "b.yaml link.outside", "c.yaml yaml.syntax"));
  const auto whole = validator.Validate(Of({{"a.yaml", "1"}}));
  EXPECT_THAT(Rules(whole), ElementsAre(" paths.required", "SHA256SUMS checksums.manifest"));
}

TEST(ValidatorTest, FileNamesThatCannotBeShownAreRefusedAndShownEscaped) {
  Validator validator(SourceConfig(), nullptr);
  const auto verdict =
      validator.Validate(Of({{"a\nb", "x"}, {"caf\xc3\xa9", "x"}, {"\xff.json", "{"}}));
  EXPECT_THAT(Rules(verdict), ElementsAre("\\xff.json path.characters", "\\xff.json json.syntax",
                                          "a\\nb path.characters"));
  for (const Violation& violation : verdict.violations) {
    EXPECT_TRUE(IsValidUtf8(violation.path));
    EXPECT_FALSE(HasControlCharacters(violation.path));
  }
}

TEST(ValidatorTest, TheFirstHundredViolationsAreKeptAndAllAreCounted) {
  Generation generation;
  for (int i = 149; i >= 0; --i) {
    generation.files.push_back({absl::StrCat(1000 + i, ".json"), Content("[")});
  }
  Validator validator(SourceConfig(), nullptr);
  const auto verdict = validator.Validate(generation);
  EXPECT_EQ(verdict.total, 150);
  ASSERT_THAT(verdict.violations, SizeIs(100));
  EXPECT_TRUE(std::is_sorted(verdict.violations.begin(), verdict.violations.end()));
  EXPECT_EQ(verdict.violations.front().path, "1000.json");
  EXPECT_EQ(verdict.violations.back().path, "1099.json");
}

// The contents are changed behind the validator's back, which a generation never is: only whoever
// reads the bytes again can notice.
TEST(ValidatorTest, AFileOfSamePathAndContentIsNotReadAgain) {
  Validator validator(SourceConfig(), nullptr);
  const auto good = Content("{}");
  const auto bad = Content("{");
  const Generation generation{{{"bad.json", bad}, {"good.json", good}}};
  EXPECT_THAT(Rules(validator.Validate(generation)), ElementsAre("bad.json json.syntax"));
  good->bytes = "{";
  bad->bytes = "{}";
  EXPECT_THAT(Rules(validator.Validate(generation)), ElementsAre("bad.json json.syntax"))
      << "the earlier finding still stands";
  EXPECT_THAT(Rules(validator.Validate(generation)), ElementsAre("bad.json json.syntax"))
      << "however often";
}

TEST(ValidatorTest, AFileWithOtherContentOrAnotherNameIsReadAgain) {
  Validator validator(SourceConfig(), nullptr);
  const auto content = Content("[");
  EXPECT_THAT(validator.Validate({{{"a.txt", content}}}).violations, IsEmpty());
  EXPECT_THAT(Rules(validator.Validate({{{"a.json", content}}})),
              ElementsAre("a.json json.syntax"));
  EXPECT_THAT(validator.Validate(Of({{"a.json", "[]"}})).violations, IsEmpty());
  EXPECT_THAT(Rules(validator.Validate(Of({{"a.json", "["}}))), ElementsAre("a.json json.syntax"));
}

TEST(ValidatorTest, AFileThatWasAwayForAGenerationIsReadAgain) {
  Validator validator(SourceConfig(), nullptr);
  const auto content = Content("{}");
  EXPECT_TRUE(validator.Validate({{{"a.json", content}}}).ok());
  EXPECT_TRUE(validator.Validate({}).ok());
  content->bytes = "{";
  EXPECT_FALSE(validator.Validate({{{"a.json", content}}}).ok());
}

TEST(ValidatorTest, TheLimitsOfTheSourceApply) {
  SourceConfig config;
  config.limits.max_nesting = 1;
  config.limits.max_alias_nodes = 0;
  Validator validator(config, nullptr);
  const auto verdict = validator.Validate(Of({{"a.json", "[[]]"},
                                              {"b.toml", "a = []"},
                                              {"c.yaml", "a: []"},
                                              {"d.yaml", "- &a 1\n- *a\n"}}));
  EXPECT_THAT(Rules(verdict), ElementsAre("a.json json.nesting", "b.toml toml.nesting",
                                          "c.yaml yaml.nesting", "d.yaml yaml.aliases"));
}

}  // namespace
}  // namespace confstream
