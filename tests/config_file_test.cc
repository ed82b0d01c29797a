#include "server/config/config_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace confstream {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::StartsWith;

ConfigLayer Parse(absl::string_view text) {
  const auto layer = ParseConfigFile(text, "c.yaml", "/dir");
  EXPECT_TRUE(layer.ok()) << layer.status();
  return layer.ok() ? *layer : ConfigLayer();
}

std::vector<std::string> ErrorsOf(absl::string_view text) { return Parse(text).errors; }

std::string RefusalOf(absl::string_view text) {
  const auto layer = ParseConfigFile(text, "c.yaml", "/dir");
  EXPECT_FALSE(layer.ok());
  return std::string(layer.status().message());
}

TEST(ConfigFileTest, ValuesComeWithPlaceNameAndDirectory) {
  const ConfigLayer layer = Parse("# first\nlisten: [a, 'b']\nsources:\n  app: {path: vol}\n");
  EXPECT_THAT(layer.errors, IsEmpty());
  const GivenSetting& listen = layer.server.at("listen");
  ASSERT_THAT(listen.values, SizeIs(2));
  EXPECT_EQ(listen.values[1].text, "b");
  EXPECT_EQ(listen.values[1].place, "c.yaml:2:13");
  EXPECT_EQ(listen.values[1].name, "listen");
  ASSERT_THAT(layer.sources, SizeIs(1));
  EXPECT_EQ(layer.sources[0].name.place, "c.yaml:4:3");
  EXPECT_EQ(layer.sources[0].path.text, "vol");
  EXPECT_EQ(layer.sources[0].path.directory, "/dir");
}

TEST(ConfigFileTest, AFileWithoutContentGivesNothing) {
  EXPECT_THAT(Parse("").sources, IsEmpty());
  EXPECT_THAT(Parse("# nothing\n").errors, IsEmpty());
}

TEST(ConfigFileTest, AnUnknownKeyIsRefusedAndTheNearestKnownOneNamed) {
  EXPECT_THAT(ErrorsOf("log_fromat: json\n"),
              ElementsAre("c.yaml:1:1: unknown key `log_fromat`: did you mean `log_format`?"));
  EXPECT_THAT(ErrorsOf("source: {}\n"),
              ElementsAre("c.yaml:1:1: unknown key `source`: did you mean `sources`?"));
  EXPECT_THAT(ErrorsOf("sources: {a: {path: /a, setle: 1s}}\n"),
              ElementsAre("c.yaml:1:25: unknown key `setle`: did you mean `settle`?"));
  EXPECT_THAT(ErrorsOf("sources: {a: {path: /a, limits: {max_file: 1}}}\n"),
              ElementsAre("c.yaml:1:34: unknown key `max_file`: did you mean `max_files`?"));
}

TEST(ConfigFileTest, AKeyLikeNoOtherGetsTheListOfThoseThatAreKnownThere) {
  EXPECT_THAT(ErrorsOf("defaults:\n  limits:\n    xyzzy: 1\n"),
              ElementsAre("c.yaml:3:5: unknown key `xyzzy`: known here are max_file_size, "
                          "max_total_size, max_files, max_depth, max_nesting, max_alias_nodes"));
}

TEST(ConfigFileTest, EveryGroupIsAMappingWithKeysOfItsOwn) {
  const ConfigLayer layer =
      Parse("sources: {a: {path: /a, history: {max_age: 1h}, rules: {required: [b]}}}\n");
  EXPECT_THAT(layer.errors, IsEmpty());
  EXPECT_EQ(layer.sources[0].settings.at("history.max_age").values[0].text, "1h");
  EXPECT_EQ(layer.sources[0].settings.at("rules.required").values[0].place, "c.yaml:1:68");
  EXPECT_THAT(ErrorsOf("defaults: {history: {max_files: 1}}\n"),
              ElementsAre("c.yaml:1:22: `max_files` is misplaced: it belongs into `limits` of a "
                          "source, or of `defaults`"));
  EXPECT_THAT(ErrorsOf("defaults: {rules: {schema: []}}\n"),
              ElementsAre("c.yaml:1:20: unknown key `schema`: did you mean `schemas`?"));
  EXPECT_THAT(ErrorsOf("defaults: {rule: {}}\n"),
              ElementsAre("c.yaml:1:12: unknown key `rule`: did you mean `rules`?"));
  EXPECT_THAT(ErrorsOf("defaults: {rules: [a]}\n"),
              ElementsAre("c.yaml:1:19: `rules` must be a mapping: write lines `KEY: VALUE`"));
  EXPECT_THAT(ErrorsOf("defaults: {limits: {history: {max_age: 1h}}}\n"),
              ElementsAre(HasSubstr("`history` is misplaced: it belongs into a source, or into "
                                    "`defaults`")));
}

TEST(ConfigFileTest, AKeyInTheWrongPlaceIsRefusedAndItsPlaceNamed) {
  EXPECT_THAT(ErrorsOf("settle: 1s\n"),
              ElementsAre("c.yaml:1:1: `settle` is misplaced: it belongs into a source, or into "
                          "`defaults`"));
  EXPECT_THAT(ErrorsOf("path: /a\n"),
              ElementsAre("c.yaml:1:1: `path` is misplaced: it belongs into a source, below "
                          "`sources`"));
  EXPECT_THAT(ErrorsOf("max_files: 1\n"), ElementsAre(HasSubstr("into `limits` of a source")));
  EXPECT_THAT(ErrorsOf("limits.max_files: 1\n"), ElementsAre(HasSubstr("unknown key")));
  EXPECT_THAT(ErrorsOf("'': 1\n"), ElementsAre(HasSubstr("unknown key")));
  EXPECT_THAT(ErrorsOf("defaults: {path: /a}\n"), ElementsAre(HasSubstr("below `sources`")));
  EXPECT_THAT(
      ErrorsOf("sources: {a: {path: /a, workers: 1}}\n"),
      ElementsAre("c.yaml:1:25: `workers` is misplaced: it belongs at the top of the file"));
  EXPECT_THAT(ErrorsOf("sources: {a: {path: /a, limits: {defaults: 1}}}\n"),
              ElementsAre(HasSubstr("`defaults` is misplaced: it belongs at the top of the file")));
}

TEST(ConfigFileTest, AKeyThatIsThereTwiceIsRefusedWhereverItIs) {
  EXPECT_THAT(ErrorsOf("workers: 1\n'workers': 2\n"),
              ElementsAre("c.yaml:2:1: `workers` is there already, on line 1: keep one of them"));
  EXPECT_THAT(ErrorsOf("sources:\n  a: {path: /a}\n  a: {path: /b}\n"),
              ElementsAre("c.yaml:3:3: `a` is there already, on line 2: keep one of them"));
  EXPECT_THAT(ErrorsOf("sources: {a: {path: /a, limits: {max_files: 1, max_files: 1}}}\n"),
              ElementsAre(HasSubstr("`max_files` is there already")));
}

TEST(ConfigFileTest, AValueOfTheWrongShapeIsRefused) {
  EXPECT_THAT(ErrorsOf("listen: 127.0.0.1:1\n"),
              ElementsAre("c.yaml:1:9: `listen` must be a list: write [VALUE, VALUE]"));
  EXPECT_THAT(ErrorsOf("workers: [1]\n"),
              ElementsAre("c.yaml:1:10: `workers` must be a single value"));
  EXPECT_THAT(ErrorsOf("workers: {a: b}\n"), SizeIs(1));
  EXPECT_THAT(ErrorsOf("listen: [[a]]\n"), ElementsAre(HasSubstr("an element of `listen`")));
  EXPECT_THAT(ErrorsOf("workers:\n"), ElementsAre(HasSubstr("`workers` has no value")));
  EXPECT_THAT(ErrorsOf("[a]: b\n"), ElementsAre("c.yaml:1:1: a key must be a text"));
  EXPECT_THAT(ErrorsOf("- a\n"), ElementsAre(HasSubstr("the configuration must be a mapping")));
  EXPECT_THAT(ErrorsOf("sources: [a]\n"), ElementsAre(HasSubstr("`sources` must be a mapping")));
}

TEST(ConfigFileTest, ASourceWithoutPathIsRefused) {
  EXPECT_THAT(ErrorsOf("sources: {a: {}}\n"),
              ElementsAre("c.yaml:1:11: source `a` has no `path`: write the directory or file to "
                          "serve"));
  EXPECT_THAT(ErrorsOf("sources: {a: {setle: 1s}}\n"),
              ElementsAre(HasSubstr("unknown key"), HasSubstr("source `a` has no `path`")))
      << "with other mistakes, too";
  EXPECT_THAT(ErrorsOf("sources: {a: /a}\n"),
              ElementsAre("c.yaml:1:11: source `a` must be a mapping: write a: {path: PATH}"));
  EXPECT_THAT(ErrorsOf("sources: {a: {path: [/a]}}\n"), ElementsAre(HasSubstr("must be a text")));
}

TEST(ConfigFileTest, WhatIsNoYamlIsRefusedWithItsPlace) {
  EXPECT_THAT(RefusalOf("workers: 1\nlisten: [a\nlog_level: x\n"), StartsWith("c.yaml:3:"));
  EXPECT_THAT(RefusalOf("workers: 1\nx: \xff\n"), StartsWith("c.yaml:2:4: this is not UTF-8"));
  EXPECT_THAT(RefusalOf("a: 1\n---\nb: 2\n"), StartsWith("c.yaml:3:1: a second document"));
  EXPECT_THAT(RefusalOf(std::string(100000, '[')), StartsWith("c.yaml:1:33: nested more than 32"));
}

TEST(ConfigFileTest, AnchorsAndAliasesWork) {
  const ConfigLayer layer = Parse("sources:\n  a: &a {path: /a, settle: 1s}\n  b: *a\n");
  EXPECT_THAT(layer.errors, IsEmpty());
  ASSERT_THAT(layer.sources, SizeIs(2));
  EXPECT_EQ(layer.sources[1].path.text, "/a");
}

}  // namespace
}  // namespace confstream
