#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/validate/document_tree.h"

namespace confstream {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

nlohmann::json Read(absl::string_view path, absl::string_view bytes) {
  const DocumentTree tree = ReadDocumentTree(path, bytes);
  EXPECT_THAT(tree.problems(), IsEmpty());
  nlohmann::json documents = nlohmann::json::array();
  for (const NodeIndex root : tree.roots()) documents.push_back(tree.ToJson(tree.node(root)));
  return documents.size() == 1 ? documents[0] : documents;
}

nlohmann::json Json(absl::string_view text) {
  return nlohmann::json::parse(text.begin(), text.end());
}

// "PATH LINE:COLUMN" of every value, and "PATH key LINE:COLUMN" of every key.
void AppendPlaces(const DocumentTree& tree, NodeIndex index, const std::string& path,
                  std::vector<std::string>* places) {
  const DocumentNode& node = tree.node(index);
  places->push_back(absl::StrCat(path, " ", node.line, ":", node.column));
  if (node.kind == DocumentNode::kArray) {
    int i = 0;
    for (const NodeIndex item : tree.items(node)) {
      AppendPlaces(tree, item, absl::StrCat(path, "/", i++), places);
    }
  } else if (node.kind == DocumentNode::kObject) {
    for (const DocumentMember& member : tree.members(node)) {
      const std::string child = absl::StrCat(path, "/", member.key);
      places->push_back(absl::StrCat(child, " key ", member.line, ":", member.column));
      AppendPlaces(tree, member.value, child, places);
    }
  }
}

std::vector<std::string> Places(absl::string_view path, absl::string_view bytes) {
  const DocumentTree tree = ReadDocumentTree(path, bytes);
  std::vector<std::string> places;
  for (const NodeIndex root : tree.roots()) AppendPlaces(tree, root, "", &places);
  return places;
}

std::vector<std::string> Problems(absl::string_view path, absl::string_view bytes) {
  std::vector<std::string> problems;
  const DocumentTree tree = ReadDocumentTree(path, bytes);
  for (const DocumentTree::Problem& problem : tree.problems()) {
    problems.push_back(
        absl::StrCat(problem.place.line, ":", problem.place.column, ": ", problem.message));
  }
  return problems;
}

TEST(DocumentTreeTest, EverySyntaxTellsTheSameTree) {
  const nlohmann::json expected = Json(R"({"a": {"b": [1, "x", true, 2.5]}, "c": "d"})");
  EXPECT_EQ(Read("f.json", R"({"c": "d", "a": {"b": [1, "x", true, 2.5]}})"), expected);
  EXPECT_EQ(Read("f.yml", "c: d\na:\n  b: [1, x, true, 2.5]\n"), expected);
  EXPECT_EQ(Read("f.toml", "c = 'd'\n[a]\nb = [1, 'x', true, 2.5]\n"), expected);
}

TEST(DocumentTreeTest, PlacesInJsonAreThoseOfTheFirstCharacter) {
  EXPECT_THAT(
      Places("f.json", "{\"a\\\"}\" : [1,\n -2.5e1 , \"\xc3\xa9:,\",{}, null],\n\"b\":true}"),
      ElementsAre(" 1:1", "/a\"} key 1:2", "/a\"} 1:11", "/a\"}/0 1:12", "/a\"}/1 2:2",
                  "/a\"}/2 2:11", "/a\"}/3 2:17", "/a\"}/4 2:21", "/b key 3:1", "/b 3:5"));
}

TEST(DocumentTreeTest, PlacesInYamlCountCharactersAndLeaveAByteOrderMarkOut) {
  EXPECT_THAT(
      Places("f.yaml", "\xef\xbb\xbf\xc3\xa9: {x: 1}\nb:\n  - \xf0\x9f\x98\x80\n  - k: v\n"),
      ElementsAre(" 1:1", "/b key 2:1", "/b 3:3", "/b/0 3:5", "/b/1 4:5", "/b/1/k key 4:5",
                  "/b/1/k 4:8", "/\xc3\xa9 key 1:1", "/\xc3\xa9 1:4", "/\xc3\xa9/x key 1:5",
                  "/\xc3\xa9/x 1:8"));
}

TEST(DocumentTreeTest, PlacesInTomlAreThoseOfKeysAndValues) {
  EXPECT_THAT(
      Places("f.toml", "a = 1\n[t.u]\n'\xc3\xa9' = [\n  2]\n"),
      ElementsAre(" 1:1", "/a key 1:1", "/a 1:5", "/t key 2:2", "/t 2:1", "/t/u key 2:4",
                  "/t/u 2:1", "/t/u/\xc3\xa9 key 3:1", "/t/u/\xc3\xa9 3:7", "/t/u/\xc3\xa9/0 4:3"));
}

TEST(DocumentTreeTest, PlainYamlScalarsMeanWhatTheCoreSchemaSays) {
  EXPECT_EQ(
      Read("f.yaml",
           "[~, null, Null, '', true, False, yes, 'true', 12, -7, +3, 0o17, 0x1F, 1.5, .5, 1.,"
           " 1e3, -2E-1, 1_000, 0b1, 1e, ., -, '12', !!str 12, !!int '12', !x 12, 0xg]"),
      Json(R"([null, null, null, "", true, false, "yes", "true", 12, -7, 3, 15, 31, 1.5, 0.5,
                     1.0, 1000.0, -0.2, "1_000", "0b1", "1e", ".", "-", "12", "12", 12, "12",
                     "0xg"])"));
  EXPECT_EQ(Read("f.yaml", "a:\nb: |\n  12\n"), Json(R"({"a": null, "b": "12\n"})"));
  EXPECT_TRUE(Read("f.yaml", ".nan").is_string());
  EXPECT_TRUE(Read("f.yaml", "-.inf").get<double>() < 0);
}

TEST(DocumentTreeTest, IntegersTooLargeForTheTypeBecomeDoubles) {
  for (const char* path : {"f.json", "f.yaml"}) {
    const nlohmann::json numbers = Read(path, "[9223372036854775807, 9223372036854775808]");
    EXPECT_EQ(numbers[0].get<int64_t>(), 9223372036854775807) << path;
    EXPECT_TRUE(numbers[1].is_number_float()) << path;
  }
}

TEST(DocumentTreeTest, AFileOfNoDocumentIsNullAndOneOfManyHasThemAll) {
  EXPECT_EQ(Read("f.yaml", "# nothing\n"), nlohmann::json(nullptr));
  EXPECT_EQ(Read("f.yaml", "--- 1\n--- {a: b}\n...\n---\n"), Json(R"([1, {"a": "b"}, null])"));
}

TEST(DocumentTreeTest, AliasesAndMergesStandForWhatTheyReferTo) {
  EXPECT_EQ(Read("f.yaml", "b: &b {x: 1, y: 2}\nc: *b\nd: {<<: *b, y: 3}\ne: {'<<': 1}\n"),
            Json(R"({"b": {"x": 1, "y": 2}, "c": {"x": 1, "y": 2}, "d": {"x": 1, "y": 3},
                     "e": {"<<": 1}})"));
  EXPECT_EQ(Read("f.yaml", "- &a {x: 1}\n- &b {x: 2, z: 3}\n- {<<: [*a, *b], q: 4}\n")[2],
            Json(R"({"x": 1, "z": 3, "q": 4})"));
  EXPECT_EQ(Read("f.yaml", "- &a 1\n- *a\n- &a 2\n- *a\n"), Json("[1, 1, 2, 2]"));
}

TEST(DocumentTreeTest, AnAliasKeepsThePlaceOfWhatItRefersTo) {
  EXPECT_THAT(Places("f.yaml", "- &a\n  k: 1\n- *a\n"),
              ElementsAre(" 1:1", "/0 1:3", "/0/k key 2:3", "/0/k 2:6", "/1 1:3", "/1/k key 2:3",
                          "/1/k 2:6"));
}

TEST(DocumentTreeTest, WhatJsonHasNoWordsForIsAProblemWithItsPlace) {
  EXPECT_THAT(Problems("f.json", "{\"a\": 1,\n \"a\": 2}"),
              ElementsAre("2:2: the key `a` is there already, on line 1: keep one of them"));
  EXPECT_THAT(Problems("f.yaml", "x: {a: 1, b: 2, a: 3, a: 4}\n"), SizeIs(2));
  EXPECT_THAT(Problems("f.yaml", "a: 1\n? [b]\n: 2\n"),
              ElementsAre(HasSubstr("2:3: a key that is a mapping or sequence")));
  EXPECT_THAT(Problems("f.yaml", "- &a b\n- *a : c\n"),
              ElementsAre(HasSubstr("2:3: an alias that is a key")));
  EXPECT_THAT(Problems("f.yaml", "- &a b: c\n- *a\n- d\n"),
              ElementsAre(HasSubstr("2:3: an alias that is a key, or refers to one")));
  EXPECT_THAT(Problems("f.yaml", "a: {<<: 1}\n"), ElementsAre(HasSubstr("1:5: `<<` merges")));
}

TEST(DocumentTreeTest, AliasesThatNestTooDeepAreAProblemAndNoRecursion) {
  std::string yaml = "- &a0 [x]\n";
  for (int i = 1; i < 20000; ++i) absl::StrAppend(&yaml, "- &a", i, " [*a", i - 1, "]\n");
  EXPECT_THAT(Problems("f.yaml", yaml), Not(IsEmpty()));
  EXPECT_THAT(Problems("f.yaml", yaml)[0], HasSubstr("251:3: aliases nest what begins here"));
}

TEST(DocumentTreeTest, AliasesTakeNoMemoryForWhatTheyStandFor) {
  std::string yaml = "- &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i <= 8; ++i) {
    absl::StrAppend(&yaml, "- &a", i, " [");
    for (int k = 0; k < 10; ++k) absl::StrAppend(&yaml, k == 0 ? "*a" : ", *a", i - 1);
    absl::StrAppend(&yaml, "]\n");
  }
  const DocumentTree tree = ReadDocumentTree("f.yaml", yaml);  // 10^9 nodes, if it were expanded
  EXPECT_EQ(tree.CountNodes(tree.node(tree.roots()[0]), 1000), 1000);
}

}  // namespace
}  // namespace confstream
