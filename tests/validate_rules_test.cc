// SourceRules, as the Validator applies them.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/validate/validator.h"
#include "tests/fakes/temporary_directory.h"

namespace confstream {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

using Files = std::map<std::string, std::string>;

Generation Of(const Files& files) {
  Generation generation;
  for (const auto& [path, bytes] : files) {
    auto content = std::make_shared<FileContent>();
    content->bytes = bytes;
    content->digest = Sha256::Of(bytes);
    generation.files.push_back({path, std::move(content)});
  }
  return generation;
}

// As sha256sum prints it.
std::string Line(const std::string& path, const std::string& bytes) {
  return absl::StrCat(Sha256::Of(bytes).Hex(), "  ", path, "\n");
}

class ValidatorRulesTest : public ::testing::Test {
 protected:
  // The globs' schemas, by glob.
  void SetSchemas(const std::map<std::string, std::string>& schemas) {
    config_.rules.schemas.clear();
    for (const auto& [glob, text] : schemas) {
      const std::string name = absl::StrCat("schema", config_.rules.schemas.size(), ".json");
      std::ofstream(directory_.Path(name)) << text;
      config_.rules.schemas.push_back({*PathGlob::Parse(glob), directory_.Path(name)});
    }
  }

  Validator MakeValidator() {
    const auto schemas = SchemaSet::Load(config_.rules);
    EXPECT_TRUE(schemas.ok()) << schemas.status();
    return Validator(config_, *schemas);
  }

  // "PATH:LINE:COLUMN RULE" of each.
  std::vector<std::string> Found(const Files& files) {
    std::vector<std::string> found;
    for (const Violation& violation : MakeValidator().Validate(Of(files)).violations) {
      found.push_back(absl::StrCat(violation.path, ":", violation.line, ":", violation.column, " ",
                                   violation.rule));
    }
    return found;
  }

  std::vector<std::string> Messages(const Files& files) {
    std::vector<std::string> messages;
    for (const Violation& violation : MakeValidator().Validate(Of(files)).violations) {
      messages.push_back(violation.message);
    }
    return messages;
  }

  TemporaryDirectory directory_;
  SourceConfig config_;
};

TEST_F(ValidatorRulesTest, EveryRequiredGlobNeedsAFile) {
  config_.rules.required = {*PathGlob::Parse("app.yaml"), *PathGlob::Parse("certs/*.pem"),
                            *PathGlob::Parse("**.json")};
  EXPECT_THAT(Found({{"app.yaml", ""}, {"certs/a.pem", ""}, {"x/y.json", "1"}}), IsEmpty());
  EXPECT_THAT(Messages({{"app.yaml", ""}}),
              ElementsAre(HasSubstr("no file matches `**.json`"),
                          HasSubstr("no file matches `certs/*.pem`")));
  EXPECT_THAT(Found({}), Each(":0:0 paths.required"));
}

TEST_F(ValidatorRulesTest, EveryForbiddenFileIsNamedOnce) {
  config_.rules.forbidden = {*PathGlob::Parse("**.key"), *PathGlob::Parse("secret*")};
  EXPECT_THAT(Found({{"a.pem", ""}, {"secret.key", ""}, {"x/b.key", ""}}),
              ElementsAre("secret.key:0:0 paths.forbidden", "x/b.key:0:0 paths.forbidden"));
}

TEST_F(ValidatorRulesTest, AManifestThatListsAllFilesIsAccepted) {
  config_.rules.checksums = "SHA256SUMS";
  const std::string back = "back\\slash";
  const std::string newline = "new\nline";
  const std::string manifest = absl::StrCat(
      Line("a", "1"), Sha256::Of("2").Hex(), " *sub/b\r\n\n", Line("./c", "3"), "\\",
      Line("back\\\\slash", "4"), "\\", Line("new\\nline", "5"), Sha256::Of("6").Hex(), "  last");
  const Files files = {
      {"a", "1"},    {"sub/b", "2"},          {"c", "3"}, {back, "4"}, {newline, "5"},
      {"last", "6"}, {"SHA256SUMS", manifest}};
  EXPECT_THAT(Found(files), ElementsAre("new\\nline:0:0 path.characters"));
}

TEST_F(ValidatorRulesTest, EveryDifferenceFromTheManifestIsToldWithItsLine) {
  config_.rules.checksums = "sub/SUMS";
  const std::string manifest =
      absl::StrCat(Line("a", "old"), Line("gone", ""), "nonsense\n", Line("a", "1"),
                   std::string(64, 'g'), "  b\n", Line("ok", "1"));
  EXPECT_THAT(Found({{"a", "1"}, {"new", ""}, {"ok", "1"}, {"sub/SUMS", manifest}}),
              ElementsAre("new:0:0 checksums.unlisted", "sub/SUMS:1:1 checksums.mismatch",
                          "sub/SUMS:2:1 checksums.missing", "sub/SUMS:3:1 checksums.manifest",
                          "sub/SUMS:4:1 checksums.manifest", "sub/SUMS:5:1 checksums.manifest"));
}

TEST_F(ValidatorRulesTest, AManifestThatListsItselfIsToldToTakeTheLineOut) {
  config_.rules.checksums = "SUMS";
  const std::string manifest = absl::StrCat(Line("a", "1"), Line("SUMS", "it was empty then"));
  EXPECT_THAT(Found({{"SUMS", manifest}, {"a", "1"}}), ElementsAre("SUMS:2:1 checksums.manifest"));
}

TEST_F(ValidatorRulesTest, AMissingManifestIsAViolation) {
  config_.rules.checksums = "SHA256SUMS";
  EXPECT_THAT(Found({{"a", "1"}}), ElementsAre("SHA256SUMS:0:0 checksums.manifest"));
  EXPECT_THAT(Found({{"SHA256SUMS", ""}, {"a", "1"}}), ElementsAre("a:0:0 checksums.unlisted"));
}

TEST_F(ValidatorRulesTest, SchemaViolationsInTwoFilesAreBothToldWithLineAndColumn) {
  SetSchemas(
      {{"**.yaml", R"({"required": ["port"], "properties": {"port": {"type": "integer"}}})"}});
  EXPECT_THAT(Found({{"a.yaml", "host: x\nport: y\n"},
                     {"b/c.yaml", "# nothing\nhost: x\n"},
                     {"d.yaml", "port: 1\n"},
                     {"e.json", "{}"}}),
              ElementsAre("a.yaml:2:7 schema", "b/c.yaml:2:1 schema"));
}

TEST_F(ValidatorRulesTest, AFileIsCheckedAgainstEverySchemaThatMatchesIt) {
  SetSchemas({{"*", R"({"required": ["a"]})"}, {"*.json", R"({"required": ["b"]})"}});
  EXPECT_THAT(Messages({{"f.json", "{}"}}), ElementsAre(HasSubstr("`a`"), HasSubstr("`b`")));
}

TEST_F(ValidatorRulesTest, AFileWithASyntaxErrorGetsOnlyThat) {
  SetSchemas({{"*", "false"}});
  EXPECT_THAT(Found({{"a.json", "{"}, {"b.yaml", "["}, {"c.toml", "="}, {"d.json", "[\xff]"}}),
              ElementsAre("a.json:1:2 json.syntax", "b.yaml:1:2 yaml.syntax",
                          "c.toml:1:1 toml.syntax", "d.json:1:2 text.utf8"));
}

TEST_F(ValidatorRulesTest, WhatCannotBeCheckedAgainstASchemaIsRefused) {
  SetSchemas({{"**", "true"}});
  EXPECT_THAT(
      Found({{"a.json", "{\"a\": 1, \"a\": 2}"}, {"b.txt", "x"}, {"c.yaml", "? []\n: 1\n"}}),
      ElementsAre("a.json:1:10 schema.data", "b.txt:0:0 schema.data", "c.yaml:1:3 schema.data"));
}

TEST_F(ValidatorRulesTest, AliasesAreBoundedBeforeATreeIsMade) {
  SetSchemas({{"**", "true"}});
  config_.limits.max_alias_nodes = 2;
  EXPECT_THAT(Found({{"a.yaml", "- &a [1]\n- *a\n- *a\n"}}),
              ElementsAre("a.yaml:3:3 yaml.aliases"));
}

TEST_F(ValidatorRulesTest, ViolationsOfEveryRuleAreToldAtOnceAndInOrder) {
  SetSchemas({{"*.yaml", R"({"items": {"type": "string"}})"}});
  config_.rules.required = {*PathGlob::Parse("app.toml")};
  config_.rules.forbidden = {*PathGlob::Parse("*.key")};
  config_.rules.checksums = "SUMS";
  EXPECT_THAT(Found({{"SUMS", Line("a.yaml", "[1, 2]")},
                     {"a.yaml", "[1, 2]"},
                     {"b.json", "{"},
                     {"c.key", ""}}),
              ElementsAre(":0:0 paths.required", "a.yaml:1:2 schema", "a.yaml:1:5 schema",
                          "b.json:0:0 checksums.unlisted", "b.json:1:2 json.syntax",
                          "c.key:0:0 checksums.unlisted", "c.key:0:0 paths.forbidden"));
}

TEST_F(ValidatorRulesTest, AtMostAHundredViolationsAreKeptOverAllRulesAndAllAreCounted) {
  SetSchemas({{"*.json", R"({"items": {"type": "string"}})"}});
  config_.rules.forbidden = {*PathGlob::Parse("*")};
  std::string numbers = "[0";
  for (int i = 1; i < 120; ++i) absl::StrAppend(&numbers, ",\n", i);
  const auto verdict =
      MakeValidator().Validate(Of({{"a.json", numbers + "]"}, {"b.json", numbers + "]"}}));
  EXPECT_EQ(verdict.total, 242);
  ASSERT_THAT(verdict.violations, SizeIs(Validator::kMaxViolations));
  EXPECT_EQ(verdict.violations.front().rule, "paths.forbidden");
  EXPECT_EQ(verdict.violations.back().path, "a.json");
  EXPECT_EQ(verdict.violations.back().line, 99);
}

TEST_F(ValidatorRulesTest, UnchangedFilesAreNotCheckedAgainButWhatConcernsAllFilesIs) {
  SetSchemas({{"*.json", R"({"type": "object"})"}});
  config_.rules.required = {*PathGlob::Parse("b")};
  Validator validator = MakeValidator();
  auto content = std::make_shared<FileContent>();
  content->bytes = "{}";
  Generation generation{{{"a.json", content}, {"b", content}}};
  EXPECT_TRUE(validator.Validate(generation).ok());
  content->bytes = "[]";  // which a generation never does: whoever reads it again will notice
  EXPECT_TRUE(validator.Validate(generation).ok());
  generation.files.pop_back();
  const auto verdict = validator.Validate(generation);
  ASSERT_EQ(verdict.total, 1);
  EXPECT_EQ(verdict.violations[0].rule, "paths.required");
  EXPECT_EQ(MakeValidator().Validate(generation).total, 2) << "a new validator knows nothing";
}

TEST_F(ValidatorRulesTest, MessagesForASensitiveSourceQuoteNoContent) {
  SetSchemas(
      {{"*.yaml", R"({"additionalProperties": false})"}, {"*.json", R"({"type": "object"})"}});
  config_.rules.checksums = "SUMS";
  const Files files = {
      {"SUMS", absl::StrCat(Line("hunter2", ""), "hunter2\n", Line("a.yaml", ""))},
      {"a.yaml", "hunter2: 1\n"},
      {"b.json", "{\"hunter2\": 1, \"hunter2\": 2}"},
      {"c.toml", "hunter2 = hunter2\n"},
      {"d.json", "{\"a\": hunter2}"},
      {"e.yaml", "a: *hunter2\n"},
      {"f.toml", "hunter2 = 1\nhunter2 = 2\n"},
  };
  EXPECT_THAT(Messages(files), Contains(HasSubstr("hunter2")));
  const std::vector<std::string> found = Found(files);
  config_.sensitive = true;
  EXPECT_THAT(Messages(files), AllOf(SizeIs(found.size()), Each(Not(HasSubstr("hunter2")))));
  EXPECT_EQ(Found(files), found) << "places and rules are told all the same";
}

}  // namespace
}  // namespace confstream
