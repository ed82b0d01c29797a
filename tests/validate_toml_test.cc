#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "server/validate/file_violation.h"
#include "server/validate/toml_nesting.h"
#include "server/validate/toml_syntax.h"

namespace confstream {
namespace {

std::optional<Violation> Check(absl::string_view bytes, const SourceLimits& limits = {}) {
  return CheckTomlSyntax("app.toml", bytes, limits);
}

void ExpectRefused(absl::string_view bytes, int64_t line, int64_t column) {
  SCOPED_TRACE(std::string(bytes.substr(0, 80)));
  const auto violation = Check(bytes);
  ASSERT_TRUE(violation.has_value());
  EXPECT_EQ(violation->rule, "toml.syntax");
  EXPECT_EQ(violation->line, line) << violation->message;
  EXPECT_EQ(violation->column, column) << violation->message;
}

// The deepest nesting of `text`, by asking for every bound.
int64_t NestingOf(absl::string_view text) {
  int64_t nesting = 0;
  while (TomlNesting(text).FindDeeperThan(nesting).has_value()) ++nesting;
  return nesting;
}

std::string Repeated(absl::string_view text, int count) {
  std::string out;
  for (int i = 0; i < count; ++i) absl::StrAppend(&out, text);
  return out;
}

TEST(TomlSyntaxTest, OrdinaryFilesAreAccepted) {
  for (const char* bytes :
       {"", "# only a comment\n", "a = 1\n[b.c]\nd = [1, 2,\n 3]\n[[e]]\nf = {g = 'h'}\n",
        "\xef\xbb\xbf"
        "a = 1\n",
        "a = \"\"\"\n[[[[ {{{{ \\\"\"\"\"\n", "t = 2024-01-31T10:00:00.5Z\r\n"}) {
    const auto violation = Check(bytes);
    EXPECT_FALSE(violation.has_value()) << bytes << ": " << violation->message;
  }
}

TEST(TomlSyntaxTest, ErrorsNameTheirPlaceInCharacters) {
  ExpectRefused("a = 1\nb = \n", 2, 5);
  ExpectRefused("xx = 'a' z\n", 1, 10);
  ExpectRefused("\"\xc3\xa9\xf0\x9f\x98\x80\" = 'a' z\n", 1, 12);
  ExpectRefused("\xef\xbb\xbfxx = 'a' z\n", 1, 10);
  ExpectRefused("a = 1\na = 2\n", 2, 5);
  ExpectRefused("a = 1\nb = '\x01'\n", 2, 6);
}

TEST(TomlNestingTest, TablesArraysAndPartsOfDottedNamesCount) {
  EXPECT_EQ(NestingOf("a = 1.5\nb = 1.5\nc = 2024-01-31T10:00:00.25Z\n"), 1);
  EXPECT_EQ(NestingOf("a.b.c = 1\n"), 3);
  EXPECT_EQ(NestingOf("a = [1.5, 2.5, [3.5]]\n"), 3);
  EXPECT_EQ(NestingOf("a = [{b.c = 1}, {b.c = 1}, {b.c = 1}]\n"), 4);
  EXPECT_EQ(NestingOf("[a]\n"), 2);
  EXPECT_EQ(NestingOf("[a.b]\nc.d = 1\n"), 4);
  EXPECT_EQ(NestingOf("[[a.b]]\n"), 4);
  EXPECT_EQ(NestingOf("[a.b.c.d]\n[a]\nb = {c = {d = 1}, e = {f = 1}}\n"), 5);
  EXPECT_EQ(NestingOf("[a]\nb = {c.d = [\n  {e.f = 1}, # [[[[\n  {}]}\n[b]\n"), 7);
}

TEST(TomlNestingTest, StringsAndCommentsDoNotCount) {
  EXPECT_EQ(NestingOf("a = \"[[[ \\\" [[[\" # [[[\nb = '{{{\\'\n'[.[.[' = 1\n"), 1);
  EXPECT_EQ(NestingOf("a = \"\"\"[[[\n \\\"\"\" \" [[[\"\"\"\"\"\nb = '''[[['''\n"), 1);
  EXPECT_EQ(NestingOf("['a.b.c'.\"d.e\"] # ...\n"), 3);
}

TEST(TomlSyntaxTest, NestingIsRefusedWithItsPlace) {
  SourceLimits limits;
  limits.max_nesting = 3;
  EXPECT_FALSE(Check("a = 1\n[b.c]\nd = 1\n", limits).has_value());
  const auto violation = Check("a = 1\n[b.c]\n\xc3\xa9 = 1\nd = [1]\n", limits);
  ASSERT_TRUE(violation.has_value());
  EXPECT_EQ(violation->rule, "toml.nesting");
  EXPECT_EQ(violation->line, 4);
  EXPECT_EQ(violation->column, 5);
}

TEST(TomlSyntaxTest, AHundredThousandLevelsAreRefusedNotFollowed) {
  SourceLimits limits;
  limits.max_nesting = 1 << 20;
  const std::string dotted = absl::StrCat(Repeated("a.", 100000), "a");
  for (const std::string& bytes :
       {absl::StrCat("a = ", Repeated("[", 100000)), absl::StrCat("a = ", Repeated("{a=", 100000)),
        absl::StrCat(dotted, " = 1\n"), absl::StrCat("[", dotted, "]\n"),
        absl::StrCat("[[", dotted, "]]\n"), absl::StrCat("a = {", dotted, " = 1}\n"),
        absl::StrCat("a = [\n", Repeated("{a.b.c = [\n", 100000))}) {
    const auto violation = Check(bytes, limits);
    ASSERT_TRUE(violation.has_value());
    EXPECT_EQ(violation->rule, "toml.nesting");
    EXPECT_GT(violation->line, 0);
  }
}

TEST(TomlSyntaxTest, MessagesDoNotGrowWithTheFile) {
  const std::string key(1 << 20, 'k');
  const auto violation = Check(absl::StrCat(key, " = 1\n", key, " = 2\n"));
  ASSERT_TRUE(violation.has_value());
  EXPECT_LE(violation->message.size(), kMaxViolationMessageBytes + 3);
}

}  // namespace
}  // namespace confstream
