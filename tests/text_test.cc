#include "server/base/text.h"

#include <gtest/gtest.h>

namespace confstream {
namespace {

TEST(TextTest, FindsTheFirstByteThatIsNotUtf8) {
  EXPECT_TRUE(IsValidUtf8("plain, \xc3\xa9, \xe2\x82\xac, \xf0\x9f\x98\x80"));
  EXPECT_EQ(FindInvalidUtf8("ab\xff"), 2u);
  EXPECT_EQ(FindInvalidUtf8("\xc0\x80"), 0u);          // overlong
  EXPECT_EQ(FindInvalidUtf8("\xed\xa0\x80"), 0u);      // surrogate
  EXPECT_EQ(FindInvalidUtf8("a\xe2\x82"), 1u);         // cut short
  EXPECT_EQ(FindInvalidUtf8("\xf4\x90\x80\x80"), 0u);  // above U+10FFFF
}

TEST(TextTest, EscapesWhatATerminalOrAProtobufStringWouldMisread) {
  EXPECT_EQ(EscapeForDisplay("a\nb\t\x1b[0m\\"), "a\\nb\\t\\x1b[0m\\\\");
  EXPECT_EQ(EscapeForDisplay("\xff\xc3\xa9"), "\\xff\xc3\xa9");
  EXPECT_EQ(EscapeForDisplay("\xc2\x9b"
                             "0m"),
            "\\xc2\\x9b0m");  // U+009B begins a command, as ESC [ does
  EXPECT_TRUE(HasControlCharacters("\xc2\x9b"));
  EXPECT_FALSE(HasControlCharacters("\xc2\xa0"));
}

TEST(TextTest, LinesThatDoNotFitAreLeftOutWhole) {
  EXPECT_EQ(LinesForDisplay("one\ntwo\x01\nthree", 100), "one\ntwo\\x01\nthree");
  EXPECT_EQ(LinesForDisplay("one\ntwo\nthree", 13), "one\ntwo\n...");
  EXPECT_EQ(LinesForDisplay("one\ntwo", 10), "one\n...");
  EXPECT_EQ(LinesForDisplay("", 10), "");
}

TEST(TextTest, FirstLineIsCutBetweenCharacters) {
  EXPECT_EQ(LinesForDisplay("abcdefghijk", 10), "abcdef");
  EXPECT_EQ(LinesForDisplay("abcde\xe2\x82\xac", 10), "abcde");
  EXPECT_EQ(LinesForDisplay("abcdefghijk\nmore", 10), "abcdef\n...");
}

}  // namespace
}  // namespace confstream
