#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "server/validate/file_violation.h"
#include "server/validate/yaml_syntax.h"

namespace confstream {
namespace {

using ::testing::HasSubstr;

std::optional<Violation> Check(absl::string_view bytes, const SourceLimits& limits = {}) {
  return CheckYamlSyntax("app.yaml", bytes, limits);
}

void ExpectRefused(absl::string_view bytes, absl::string_view rule, int64_t line, int64_t column) {
  SCOPED_TRACE(std::string(bytes.substr(0, 80)));
  const auto violation = Check(bytes);
  ASSERT_TRUE(violation.has_value());
  EXPECT_EQ(violation->rule, rule);
  EXPECT_EQ(violation->line, line);
  EXPECT_EQ(violation->column, column);
  EXPECT_EQ(violation->path, "app.yaml");
  EXPECT_FALSE(violation->message.empty());
  EXPECT_LE(violation->message.size(), 4 * kMaxViolationMessageBytes);
}

std::string Repeated(absl::string_view text, int count) {
  std::string out;
  for (int i = 0; i < count; ++i) absl::StrAppend(&out, text);
  return out;
}

TEST(YamlSyntaxTest, OrdinaryFilesAreAccepted) {
  for (const char* bytes :
       {"", "\n", "# only a comment\n", "a: 1\nb: [x, y]\nc: {d: e}\n", "---\na: 1\n---\nb: 2\n",
        "--- a\n...\n# between\n---\nb\n", "a\n...\n\n%YAML 1.2\n---\nb\n",
        "\xef\xbb\xbf"
        "a: 1\n",
        "a: 1\r\nb:\r\n  - x\r\n", "text: |\n  kept\n   as it is\n", "- - - a\n    - b\n",
        "base: &base {x: 1}\nuse:\n  <<: *base\n  y: 2\n", "k: \"\\x04 \\u0000\"\n",
        "? a\n: b\n"}) {
    const auto violation = Check(bytes);
    EXPECT_FALSE(violation.has_value()) << bytes << ": " << violation->message;
  }
}

TEST(YamlSyntaxTest, ErrorsNameTheirPlace) {
  ExpectRefused("a: 1\nb: [1, 2\nc: 3\n", "yaml.syntax", 3, 2);
  ExpectRefused("a: b: c\n", "yaml.syntax", 1, 5);
  ExpectRefused("a: 1\nb: *nowhere\n", "yaml.syntax", 2, 4);
  ExpectRefused("\ta: 1\n- b\n", "yaml.syntax", 1, 1);
  ExpectRefused("a: \"not closed\n", "yaml.syntax", 2, 1);
}

TEST(YamlSyntaxTest, ColumnsCountCharactersNotBytes) {
  // The same mistake behind three characters of one, two and four bytes.
  ExpectRefused("xxx: *nowhere\n", "yaml.syntax", 1, 6);
  ExpectRefused("x\xc3\xa9\xf0\x9f\x98\x80: *nowhere\n", "yaml.syntax", 1, 6);
  ExpectRefused("\xef\xbb\xbfxxx: *nowhere\n", "yaml.syntax", 1, 6);
}

TEST(YamlSyntaxTest, ErrorsOfALaterDocumentAreFound) {
  ExpectRefused("a: 1\n---\nb: 2\n---\nc: *gone\n", "yaml.syntax", 5, 4);
  // An anchor does not outlive its document.
  ExpectRefused("a: &x 1\n---\nb: *x\n", "yaml.syntax", 3, 4);
}

TEST(YamlSyntaxTest, ContentBehindADocumentIsRefused) {
  ExpectRefused("[a] b\n", "yaml.syntax", 1, 5);
  ExpectRefused("{a: b}\nc: d\n", "yaml.syntax", 2, 1);
  ExpectRefused("]", "yaml.syntax", 1, 1);
  ExpectRefused("a: b\n}\n", "yaml.syntax", 2, 1);
  ExpectRefused("a: b\nforgot the colon\n", "yaml.syntax", 3, 1);
  ExpectRefused("[a,, b]\n", "yaml.syntax", 1, 4);
}

TEST(YamlSyntaxTest, ControlCharactersAreRefused) {
  ExpectRefused("a: 1\n\x04\nb: [\n", "yaml.syntax", 2, 1);
  ExpectRefused(absl::string_view("a: 1\n\0", 6), "yaml.syntax", 2, 1);
}

TEST(YamlSyntaxTest, NestingUpToTheLimitIsAcceptedAndOneMoreIsRefused) {
  SourceLimits limits;
  limits.max_nesting = 3;
  EXPECT_FALSE(Check("[[[x]]]", limits).has_value());
  const auto violation = Check("a:\n  b:\n    c: [x]\n", limits);
  ASSERT_TRUE(violation.has_value());
  EXPECT_EQ(violation->rule, "yaml.nesting");
  EXPECT_EQ(violation->line, 3);
  EXPECT_EQ(violation->column, 8);
  EXPECT_THAT(violation->message, HasSubstr("more than 3 levels"));
}

TEST(YamlSyntaxTest, AHundredThousandLevelsAreRefusedNotFollowed) {
  SourceLimits limits;
  limits.max_nesting = 1 << 20;  // even if somebody allows it
  for (const char* opening :
       {"[", "{", "- ", "{a: ", "[a: ", "? ", "? - ", "!t [", "{? [", "!!seq &a ["}) {
    for (const char* end : {"", "\n", "x\n"}) {
      const auto violation = Check(absl::StrCat(Repeated(opening, 100000), end), limits);
      ASSERT_TRUE(violation.has_value()) << opening;
      EXPECT_GT(violation->line, 0) << opening;
    }
  }
  std::string indents;
  for (int i = 0; i < 3000; ++i) absl::StrAppend(&indents, std::string(i, ' '), "a:\n");
  const auto violation = Check(indents, limits);
  ASSERT_TRUE(violation.has_value());
  EXPECT_EQ(violation->rule, "yaml.nesting");
  EXPECT_EQ(violation->line, kHighestNesting + 1);
}

TEST(YamlSyntaxTest, ABillionLaughsAreRefusedAtTheAliasThatIsTooMuch) {
  std::string laughs = "l0: &l0 lol\n";
  for (int i = 1; i <= 80; ++i) {
    const std::string alias = absl::StrCat("*l", i - 1);
    absl::StrAppend(&laughs, "l", i, ": &l", i, " [", alias, ",", alias, ",", alias, ",", alias,
                    ",", alias, ",", alias, ",", alias, ",", alias, ",", alias, "]\n");
  }
  const auto violation = Check(laughs);
  ASSERT_TRUE(violation.has_value());
  EXPECT_EQ(violation->rule, "yaml.aliases");
  EXPECT_EQ(violation->line, 7);  // 9^5 nodes and more in it, 10^5 are allowed

  // Without a bound that could be reached the sums stay at the greatest number: no overflow.
  SourceLimits limits;
  limits.max_alias_nodes = std::numeric_limits<int64_t>::max();
  EXPECT_FALSE(Check(laughs, limits).has_value());
}

TEST(YamlSyntaxTest, AliasNodesAreCountedExactlyOverAllDocuments) {
  SourceLimits limits;
  limits.max_alias_nodes = 8;
  // Four nodes an alias: the sequence, two scalars, and what the inner alias stands for.
  const std::string document = "a: &a x\nb: &b [1, 2, *a]\n";
  EXPECT_FALSE(Check(absl::StrCat(document, "c: *b\n"), limits).has_value());       // 1 + 4
  EXPECT_TRUE(Check(absl::StrCat(document, "c: [*b, *b]\n"), limits).has_value());  // 1 + 4 + 4
  EXPECT_FALSE(Check("a: &a [1, 2, 3]\nb: [*a, *a]\n", limits).has_value());        // 8
  EXPECT_TRUE(Check("a: &a [1, 2, 3]\nb: [*a, *a]\n---\n[&x y, *x]\n", limits).has_value());
  limits.max_alias_nodes = 0;
  EXPECT_FALSE(Check("a: &a x\nb: c\n", limits).has_value());
  EXPECT_TRUE(Check("a: &a x\nb: *a\n", limits).has_value());
}

TEST(YamlSyntaxTest, ManyPlainNodesDoNotCountAsAliases) {
  EXPECT_FALSE(Check(absl::StrCat("x: &x 1\ny: *x\nl:\n", Repeated("- 1\n", 200000))).has_value());
}

TEST(YamlSyntaxTest, AnAliasInsideItsOwnNodeIsRefused) {
  ExpectRefused("&a [*a]\n", "yaml.aliases", 1, 5);
  ExpectRefused("a: &a\n  b: {c: [1, *a]}\n", "yaml.aliases", 2, 14);
}

TEST(YamlSyntaxTest, MessagesDoNotGrowWithTheFile) {
  const auto violation = Check(absl::StrCat("a: *", std::string(1 << 20, 'x'), "\n"));
  ASSERT_TRUE(violation.has_value());
  EXPECT_LE(violation->message.size(), kMaxViolationMessageBytes + 3);
}

}  // namespace
}  // namespace confstream
