#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "server/base/text.h"
#include "server/validate/json_schema.h"

namespace confstream {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::StartsWith;

std::vector<std::string> MistakesIn(absl::string_view schema, absl::string_view path = "s.json") {
  const auto parsed = JsonSchema::Parse(path, schema);
  EXPECT_FALSE(parsed.ok()) << schema;
  if (parsed.ok()) return {};
  EXPECT_EQ(parsed.status().code(), absl::StatusCode::kInvalidArgument);
  return absl::StrSplit(std::string(parsed.status().message()), '\n');
}

std::shared_ptr<const JsonSchema> Schema(absl::string_view schema) {
  const auto parsed = JsonSchema::Parse("s.json", schema);
  EXPECT_TRUE(parsed.ok()) << parsed.status();
  return *parsed;
}

ViolationList Check(absl::string_view schema, absl::string_view bytes,
                    absl::string_view path = "f.yaml", bool quotes_content = true) {
  ViolationList found;
  Schema(schema)->Check(path, ReadDocumentTree(path, bytes), quotes_content, &found);
  return found;
}

std::vector<std::string> Refusals(absl::string_view schema, absl::string_view bytes,
                                  absl::string_view path = "f.yaml", bool quotes_content = true) {
  std::vector<std::string> refusals;
  for (const Violation& violation : Check(schema, bytes, path, quotes_content).kept()) {
    EXPECT_EQ(violation.path, path);
    EXPECT_EQ(violation.rule, "schema");
    refusals.push_back(absl::StrCat(violation.line, ":", violation.column, " ", violation.message));
  }
  return refusals;
}

TEST(JsonSchemaTest, EveryKeywordOfDraft7AcceptsAndRefuses) {
  struct Case {
    const char* schema;
    const char* accepted;
    const char* refused;
  };
  for (const Case& c : {
           Case{"true", "x", nullptr},
           Case{"false", nullptr, "x"},
           Case{R"({"type": "string"})", "x", "1"},
           Case{R"({"type": "integer"})", "1.0", "1.5"},
           Case{R"({"type": "number"})", "1.5", "'1.5'"},
           Case{R"({"type": "boolean"})", "true", "yes"},
           Case{R"({"type": "null"})", "~", "[]"},
           Case{R"({"type": ["array", "object"]})", "{}", "1"},
           Case{R"({"enum": [1, "a", {"b": [null]}]})", "{b: [null]}", "{b: []}"},
           Case{R"({"const": 1})", "1.0", "true"},
           Case{R"({"multipleOf": 2})", "4.0", "4.5"},
           Case{R"({"multipleOf": 0.01})", "19.99", "19.995"},
           Case{R"({"maximum": 3})", "3", "18446744073709551615"},
           Case{R"({"exclusiveMaximum": 3})", "2.9", "3"},
           Case{R"({"minimum": 3})", "3", "2.9"},
           Case{R"({"exclusiveMinimum": 3})", "3.1", "3"},
           Case{R"({"maxLength": 2})", "\xc3\xa9\xf0\x9f\x98\x80", "abc"},
           Case{R"({"minLength": 2})", "ab", "\xc3\xa9"},
           Case{R"({"pattern": "b+"})", "abbc", "ac"},
           Case{R"({"format": "date"})", "[1]", nullptr},
           Case{R"({"items": {"type": "integer"}})", "[1, 2]", "[1, x]"},
           Case{R"({"items": [{"type": "integer"}]})", "[1, x]", "[x]"},
           Case{R"({"items": [true], "additionalItems": {"type": "null"}})", "[1, ~]", "[1, 1]"},
           Case{R"({"items": [true], "additionalItems": false})", "[1]", "[1, 1]"},
           Case{R"({"maxItems": 1})", "[1]", "[1, 2]"},
           Case{R"({"minItems": 1})", "[1]", "[]"},
           Case{R"({"uniqueItems": true})", "[1, '1', [1]]", "[1, 2, 1.0]"},
           Case{R"({"contains": {"type": "null"}})", "[1, ~]", "[1]"},
           Case{R"({"properties": {"a": {"type": "null"}}})", "{a: ~, b: 1}", "{a: 1}"},
           Case{R"({"patternProperties": {"^a": {"type": "null"}}})", "{ab: ~, b: 1}", "{ab: 1}"},
           Case{R"({"additionalProperties": {"type": "null"}})", "{a: ~}", "{a: 1}"},
           Case{R"({"properties": {"a": true}, "patternProperties": {"b": true},
                    "additionalProperties": false})",
                "{a: 1, xbx: 2}", "{c: 1}"},
           Case{R"({"propertyNames": {"maxLength": 1}})", "{a: 1}", "{ab: 1}"},
           Case{R"({"required": ["a"]})", "{a: ~}", "{b: 1}"},
           Case{R"({"maxProperties": 1})", "{a: 1}", "{a: 1, b: 2}"},
           Case{R"({"minProperties": 1})", "{a: 1}", "{}"},
           Case{R"({"dependencies": {"a": ["b"]}})", "{b: 1}", "{a: 1}"},
           Case{R"({"dependencies": {"a": {"required": ["b"]}}})", "{a: 1, b: 1}", "{a: 1}"},
           Case{R"({"allOf": [{"minimum": 1}, {"maximum": 2}]})", "1", "3"},
           Case{R"({"anyOf": [{"maximum": 1}, {"minimum": 3}]})", "4", "2"},
           Case{R"({"oneOf": [{"maximum": 2}, {"minimum": 1}]})", "0", "1"},
           Case{R"({"not": {"type": "null"}})", "1", "~"},
           Case{R"({"if": {"type": "string"}, "then": {"minLength": 1}, "else": {"minimum": 0}})",
                "1", "''"},
           Case{R"({"if": {"type": "string"}, "then": {"minLength": 1}, "else": {"minimum": 0}})",
                "a", "-1"},
           Case{R"({"definitions": {"a": {"type": "null"}}, "$ref": "#/definitions/a"})", "~", "1"},
           Case{R"({"properties": {"a": {"$ref": "#"}}, "additionalProperties": false})",
                "{a: {a: {}}}", "{a: {a: {b: 1}}}"},
           // Here valijson by itself would check names with the schema around them.
           Case{R"({"items": {"$ref": "#/definitions/a"},
                    "definitions": {"a": {"type": "object", "propertyNames": {"pattern": "^x"}}}})",
                "[{x: 1}]", "[{y: 1}]"},
       }) {
    SCOPED_TRACE(c.schema);
    if (c.accepted != nullptr) {
      EXPECT_THAT(Refusals(c.schema, c.accepted), IsEmpty());
    }
    if (c.refused != nullptr) {
      EXPECT_THAT(Refusals(c.schema, c.refused), SizeIs(1)) << c.refused;
    }
  }
}

TEST(JsonSchemaTest, KeywordsOfOtherTypesDoNotConcernAValue) {
  constexpr char kSchema[] =
      R"({"minimum": 5, "minLength": 5, "pattern": "x", "minItems": 5, "required": ["a"],
          "multipleOf": 7, "items": false, "additionalProperties": false, "uniqueItems": true,
          "minProperties": 0, "propertyNames": false, "contains": true, "dependencies": {"a": ["b"]}})";
  for (const char* value : {"true", "~"}) EXPECT_THAT(Refusals(kSchema, value), IsEmpty()) << value;
}

constexpr char kServiceSchema[] = R"({
  "type": "object",
  "required": ["host", "port"],
  "additionalProperties": false,
  "properties": {
    "host": {"type": "string"},
    "port": {"type": "integer", "minimum": 1, "maximum": 65535},
    "mode": {"enum": ["fast", "safe"]},
    "tags": {"type": "array", "items": {"type": "string", "pattern": "^[a-z]+$"}},
    "limits": {"type": "object", "required": ["memory"]}
  }
})";

TEST(JsonSchemaTest, EveryViolationIsToldWithThePlaceOfTheValue) {
  EXPECT_THAT(
      Refusals(kServiceSchema,
               "port: 70000\nmode: slow\ntags:\n  - ok\n  - No\n  - 3\nlimits:\n  cpu: 1\n"
               "extra: 1\n"),
      ElementsAre("1:1 the document has no `host`, which is required",
                  "1:7 /port must be at most 65535", "2:7 /mode must be one of \"fast\", \"safe\"",
                  "5:5 /tags/1 must match the pattern ^[a-z]+$",
                  "6:5 /tags/2 must be a string, and is an integer",
                  "8:3 /limits has no `memory`, which is required",
                  "9:1 /extra is not allowed by the schema"));
  EXPECT_THAT(
      Refusals(kServiceSchema, "{\n \"host\": null, \"port\": 0\n}", "f.json"),
      ElementsAre("2:10 /host must be a string, and is null", "2:24 /port must be at least 1"));
  EXPECT_THAT(Refusals(kServiceSchema, "host = 'h'\nport = 1\n[limits]\ncpu = 1\n", "f.toml"),
              ElementsAre("3:1 /limits has no `memory`, which is required"));
}

TEST(JsonSchemaTest, EveryDocumentOfAFileIsChecked) {
  EXPECT_THAT(Refusals(R"({"type": "integer"})", "--- 1\n--- a\n--- 2\n--- []\n"),
              ElementsAre("2:5 the document must be an integer, and is a string",
                          "4:5 the document must be an integer, and is an array"));
  EXPECT_THAT(Refusals(R"({"type": "object"})", ""),
              ElementsAre("1:1 the document must be an object, and is null"));
}

TEST(JsonSchemaTest, OfAlternativesTheOneForTheTypeOfTheValueIsExplained) {
  constexpr char kSchema[] =
      R"({"properties": {"a": {"oneOf": [{"type": "string"},
                                         {"type": "object", "required": ["x"]}]}}})";
  EXPECT_THAT(Refusals(kSchema, "a: {y: 1}\n"),
              ElementsAre("1:4 /a has no `x`, which is required"));
  EXPECT_THAT(Refusals(kSchema, "a: 1\n"),
              ElementsAre("1:4 /a matches none of the 2 schemas of oneOf"));
  EXPECT_THAT(Refusals(R"({"oneOf": [{"minimum": 1}, {"maximum": 5}, {"type": "null"}]})", "3"),
              ElementsAre("1:1 the document matches 2 of the schemas of oneOf, and may match one "
                          "only"));
  EXPECT_THAT(Refusals(R"({"properties": {"old": false}})", "new: 1\nold: 2\n"),
              ElementsAre("2:1 /old is not allowed by the schema"));
}

TEST(JsonSchemaTest, MessagesForSensitiveSourcesQuoteNothingOfTheFile) {
  const std::string content =
      "secretkey: 12\nport: 'secretport'\nmode: secretmode\ntags: [SECRET]\nlimits: {secret: 1}\n";
  for (const std::string& refusal : Refusals(kServiceSchema, content, "f.yaml", false)) {
    EXPECT_THAT(refusal, AllOf(HasSubstr(" the value "), Not(HasSubstr("secret")),
                               Not(HasSubstr("SECRET"))));
  }
  EXPECT_THAT(Refusals(kServiceSchema, content, "f.yaml", false), SizeIs(6));
}

TEST(JsonSchemaTest, MessagesAreBoundedAndFreeOfControlCharacters) {
  std::string deep;
  for (int i = 0; i < 50; ++i) absl::StrAppend(&deep, "{\"", std::string(1000, 'k'), "\\n\": ");
  deep += "1" + std::string(50, '}');
  const ViolationList found = Check(
      R"({"definitions": {"n": {"type": "object", "additionalProperties": {"$ref": "#/definitions/n"}}},
          "$ref": "#/definitions/n"})",
      deep, "f.json");
  ASSERT_EQ(found.total(), 1);
  const std::string message = found.kept()[0].message;
  EXPECT_LE(message.size(), 300u);
  EXPECT_FALSE(HasControlCharacters(message));
}

TEST(JsonSchemaTest, AsManyViolationsAsThereAreAreCountedAndTheFirstKept) {
  std::string bytes = "[";
  for (int i = 0; i < 5000; ++i) absl::StrAppend(&bytes, "\n1,");
  bytes.back() = ']';
  const ViolationList found = Check(R"({"items": {"type": "string"}})", bytes, "f.json");
  EXPECT_EQ(found.total(), 5000);
  ASSERT_THAT(found.kept(), SizeIs(100));
  EXPECT_EQ(found.kept().front().line, 2);
  EXPECT_EQ(found.kept().back().line, 101);
}

TEST(JsonSchemaTest, LongTextsAndPatternsThatBacktrackTakeNeitherTimeNorStack) {
  const std::string text(size_t{1} << 20, 'a');
  EXPECT_THAT(Refusals(R"({"pattern": "^[a-z]+$"})", text), IsEmpty());
  EXPECT_THAT(Refusals(R"({"pattern": "^(a+)+$"})", text + "b"), SizeIs(1));
  EXPECT_THAT(Refusals(R"({"patternProperties": {"^(a+)+$": false}})", "{? " + text + "b : 1}"),
              IsEmpty());
}

TEST(JsonSchemaTest, WhatTakesTooLongIsRefusedAndSaidOnce) {
  std::string deep = "1";
  for (int i = 0; i < 90; ++i) deep = absl::StrCat("{a: ", deep, "}");
  const ViolationList found = Check(
      R"({"definitions": {"n": {"properties": {"a": {"oneOf": [
            {"$ref": "#/definitions/n"},
            {"allOf": [{"$ref": "#/definitions/n"}, {"required": ["z"]}]}]}}}},
          "$ref": "#/definitions/n"})",
      deep);
  ASSERT_EQ(found.total(), 1);
  EXPECT_EQ(found.kept()[0].rule, "schema.cost");
  EXPECT_THAT(found.kept()[0].message, HasSubstr("more than 5000000 steps"));
}

TEST(JsonSchemaTest, ASchemaThatRefersToItselfForTheSameValueIsRefusedWithoutRecursion) {
  const ViolationList found = Check(R"({"allOf": [{"$ref": "#"}]})", "1");
  ASSERT_EQ(found.total(), 1);
  EXPECT_EQ(found.kept()[0].rule, "schema.cost");
  EXPECT_THAT(found.kept()[0].message, HasSubstr("refers to itself"));
}

TEST(JsonSchemaTest, WhatIsNoSchemaIsRefusedWithThePlaceOfEachMistake) {
  EXPECT_THAT(
      MistakesIn("{\n \"type\": \"strnig\",\n \"required\": \"a\",\n"
                 " \"properties\": {\"a\": 1},\n \"multipleOf\": 0\n}"),
      ElementsAre(StartsWith("s.json:2:10: this is no JSON Schema of draft 7: /type must be "
                             "one of \"array\","),
                  HasSubstr("s.json:3:14: "), HasSubstr("s.json:4:22: "),
                  HasSubstr("s.json:5:16: ")));
  EXPECT_THAT(MistakesIn("{"), ElementsAre(StartsWith("s.json:1:2: ")));
  EXPECT_THAT(MistakesIn("{\"a\": \xff}"), ElementsAre(HasSubstr("s.json:1:7: ")));
  EXPECT_THAT(MistakesIn("[]"), ElementsAre(HasSubstr("must be a boolean or an object")));
  EXPECT_THAT(MistakesIn(R"({"type": "null", "type": "null"})"),
              ElementsAre(HasSubstr("s.json:1:18: ")));
  EXPECT_THAT(MistakesIn("type: object\n---\ntype: array\n", "s.yaml"),
              ElementsAre(HasSubstr("s.yaml:3:1: ")));
}

TEST(JsonSchemaTest, WhatOtherDraftsKnowIsRefusedRatherThanIgnored) {
  for (const char* keyword : {"prefixItems", "dependentRequired", "unevaluatedProperties", "id",
                              "$dynamicRef", "minContains"}) {
    EXPECT_THAT(MistakesIn(absl::StrCat("{\"items\": {\"", keyword, "\": 1}}")),
                ElementsAre(AllOf(HasSubstr(keyword), HasSubstr("is not allowed"))));
  }
  EXPECT_THAT(MistakesIn(R"({"$schema": "https://json-schema.org/draft/2020-12/schema"})"),
              ElementsAre(HasSubstr("/$schema must be one of")));
  EXPECT_TRUE(JsonSchema::Parse("s", R"({"$schema": "http://json-schema.org/draft-07/schema#",
                                          "$id": "urn:x", "x-own": 1, "default": [1]})")
                  .ok());
}

TEST(JsonSchemaTest, ReferencesLeadToSchemasOfTheSameFileOnly) {
  EXPECT_THAT(MistakesIn("{\"items\": {\"$ref\": \"other.json#/definitions/a\"}}"),
              ElementsAre(AllOf(StartsWith("s.json:1:20: "), HasSubstr("leads out of this file"),
                                HasSubstr("#/definitions/NAME"))));
  EXPECT_THAT(MistakesIn(R"({"$ref": "http://example.org/s.json"})"),
              ElementsAre(HasSubstr("leads out of this file")));
  EXPECT_THAT(MistakesIn(R"({"not": {"$ref": "#/definitions/b"}, "definitions": {"a": {}}})"),
              ElementsAre(HasSubstr("leads to nothing")));
  EXPECT_THAT(MistakesIn(R"({"$ref": "#a"})"), ElementsAre(HasSubstr("no JSON pointer")));
  EXPECT_THAT(MistakesIn(R"({"$ref": "#"})"), ElementsAre(HasSubstr("leads in a circle")));
  EXPECT_THAT(MistakesIn(R"({"definitions": {"a": {"$ref": "#/definitions/b"},
                                             "b": {"$ref": "#/definitions/a"}}})"),
              SizeIs(2));
  EXPECT_THAT(MistakesIn(R"({"$ref": "#/x-own/a", "x-own": {"a": {"type": 5}}})"),
              ElementsAre(StartsWith("s.json:1:")));
  EXPECT_THAT(Refusals(R"({"$ref": "#/x-own/a~1%62", "x-own": {"a/b": {"type": "null"}}})", "1"),
              SizeIs(1));
}

TEST(JsonSchemaTest, AChainOfReferencesThatNoStackHoldsIsRefused) {
  std::string schema = R"({"$ref": "#/definitions/d0", "definitions": {)";
  for (int i = 0; i < 20000; ++i) {
    absl::StrAppend(&schema, "\"d", i, "\": {\"items\": {\"$ref\": \"#/definitions/d", i + 1,
                    "\"}}, ");
  }
  absl::StrAppend(&schema, "\"d20000\": {}}}");
  EXPECT_THAT(MistakesIn(schema), ElementsAre(HasSubstr("split it into several schemas")));
}

TEST(JsonSchemaTest, PatternsThatRe2CannotReadAreRefusedWithTheirPlace) {
  EXPECT_THAT(MistakesIn(R"({"pattern": "(?!a)b"})"),
              ElementsAre(AllOf(StartsWith("s.json:1:13: "), HasSubstr("RE2 cannot read"))));
  EXPECT_THAT(MistakesIn(R"({"patternProperties": {"a(": true}})"),
              ElementsAre(StartsWith("s.json:1:24: ")));
}

TEST(JsonSchemaTest, ASchemaMayBeWrittenInYaml) {
  const auto schema = JsonSchema::Parse("s.yml", "type: object\nrequired: [a]\n");
  ASSERT_TRUE(schema.ok()) << schema.status();
  ViolationList found;
  (*schema)->Check("f.json", ReadDocumentTree("f.json", "{}"), true, &found);
  EXPECT_EQ(found.total(), 1);
}

}  // namespace
}  // namespace confstream
