#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "server/validate/file_violation.h"
#include "server/validate/json_syntax.h"

namespace confstream {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::optional<Violation> Check(absl::string_view bytes, const SourceLimits& limits = {}) {
  return CheckJsonSyntax("app.json", bytes, limits);
}

void ExpectRefused(absl::string_view bytes, int64_t line, int64_t column,
                   absl::string_view message) {
  SCOPED_TRACE(std::string(bytes.substr(0, 80)));
  const auto violation = Check(bytes);
  ASSERT_TRUE(violation.has_value());
  EXPECT_EQ(violation->rule, "json.syntax");
  EXPECT_EQ(violation->line, line);
  EXPECT_EQ(violation->column, column);
  EXPECT_THAT(violation->message, HasSubstr(std::string(message)));
}

std::string Repeated(absl::string_view text, int count) {
  std::string out;
  for (int i = 0; i < count; ++i) absl::StrAppend(&out, text);
  return out;
}

TEST(JsonSyntaxTest, AnyOneValueIsAccepted) {
  for (const char* bytes :
       {"{}", "[]", "null", " 1.5e3\n", "\"\\u0000\"", "{\"a\": [1, {\"b\": null}]}\r\n"}) {
    const auto violation = Check(bytes);
    EXPECT_FALSE(violation.has_value()) << bytes << ": " << violation->message;
  }
}

TEST(JsonSyntaxTest, ErrorsNameTheirPlaceInCharacters) {
  ExpectRefused("{\"a\": 1,}", 1, 9, "expected string literal");
  ExpectRefused("{\n  \"a\": 1\n  \"b\": 2\n}", 3, 5, "unexpected string literal");
  ExpectRefused("{\"\xc3\xa9\xf0\x9f\x98\x80\": x}", 1, 8, "invalid literal");
  ExpectRefused("{\"a\": 1 // no comments\n}", 1, 9, "invalid literal");
  ExpectRefused("[1, 2", 1, 6, "unexpected end of input");
  ExpectRefused("[1e999]", 1, 6, "too large for a double");
}

TEST(JsonSyntaxTest, WhatFollowsTheValueIsRefused) {
  ExpectRefused("{} {}", 1, 4, "expected end of input");
  ExpectRefused(absl::string_view("{}\n\0[", 5), 2, 1, "a NUL character");
}

TEST(JsonSyntaxTest, AnEmptyFileIsNotJson) {
  ExpectRefused("", 1, 1, "the file is empty");
  ExpectRefused(" \r\n\t", 1, 1, "the file is empty");
}

TEST(JsonSyntaxTest, AByteOrderMarkIsRefused) {
  ExpectRefused("\xef\xbb\xbf{}", 1, 1, "byte order mark");
}

TEST(JsonSyntaxTest, NestingUpToTheLimitIsAcceptedAndOneMoreIsRefused) {
  SourceLimits limits;
  limits.max_nesting = 2;
  EXPECT_FALSE(Check("[{}, [], {}]", limits).has_value());
  const auto violation = Check("[\n  [1, {}]\n]", limits);
  ASSERT_TRUE(violation.has_value());
  EXPECT_EQ(violation->rule, "json.nesting");
  EXPECT_EQ(violation->line, 2);
  EXPECT_EQ(violation->column, 7);
}

TEST(JsonSyntaxTest, AHundredThousandLevelsAreRefusedNotFollowed) {
  SourceLimits limits;
  limits.max_nesting = 1 << 20;
  for (const char* opening : {"[", "{\"a\":", "[{\"a\":"}) {
    const auto violation = Check(Repeated(opening, 100000), limits);
    ASSERT_TRUE(violation.has_value());
    EXPECT_EQ(violation->rule, "json.nesting");
    EXPECT_EQ(violation->line, 1);
  }
}

TEST(JsonSyntaxTest, MessagesNeitherGrowWithTheFileNorQuoteIt) {
  const auto violation = Check(absl::StrCat("{\"key\": \"", std::string(1 << 20, 'x'), "\" 1}"));
  ASSERT_TRUE(violation.has_value());
  EXPECT_LE(violation->message.size(), kMaxViolationMessageBytes + 3);
  EXPECT_THAT(Check("[\"secret\" \"hunter2\"]")->message, Not(HasSubstr("hunter")));
}

}  // namespace
}  // namespace confstream
