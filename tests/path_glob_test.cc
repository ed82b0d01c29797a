#include "server/base/path_glob.h"

#include <gtest/gtest.h>

#include <string>

#include "absl/strings/string_view.h"

namespace confstream {
namespace {

bool Matches(absl::string_view pattern, absl::string_view path) {
  const auto glob = PathGlob::Parse(pattern);
  EXPECT_TRUE(glob.ok()) << glob.status();
  return glob.ok() && glob->Matches(path);
}

TEST(PathGlobTest, StarStaysWithinOneComponent) {
  EXPECT_TRUE(Matches("*.yaml", "a.yaml"));
  EXPECT_TRUE(Matches("*.yaml", ".yaml"));
  EXPECT_FALSE(Matches("*.yaml", "sub/a.yaml"));
  EXPECT_TRUE(Matches("sub/*", "sub/a.yaml"));
  EXPECT_FALSE(Matches("sub/*", "sub/deep/a.yaml"));
}

TEST(PathGlobTest, DoubleStarCrossesComponents) {
  EXPECT_TRUE(Matches("**", "a/b/c"));
  EXPECT_TRUE(Matches("a/**", "a/b/c"));
  EXPECT_FALSE(Matches("a/**", "a"));
  EXPECT_TRUE(Matches("a**c", "a/b/c"));
}

TEST(PathGlobTest, DoubleStarSlashAlsoMatchesNothingButEndsAtAComponent) {
  EXPECT_TRUE(Matches("**/c", "c"));
  EXPECT_TRUE(Matches("**/c", "a/b/c"));
  EXPECT_FALSE(Matches("**/c", "a/bc"));
  EXPECT_TRUE(Matches("a/**/c", "a/c"));
  EXPECT_TRUE(Matches("a/**/c", "a/b/b/c"));
  EXPECT_FALSE(Matches("a/**/c", "a/bc"));
}

TEST(PathGlobTest, BackslashMakesTheNextCharacterLiteral) {
  EXPECT_TRUE(Matches("a\\*b", "a*b"));
  EXPECT_FALSE(Matches("a\\*b", "axb"));
  EXPECT_TRUE(Matches("a\\\\b", "a\\b"));
  EXPECT_TRUE(Matches("[a]?", "[a]?"));
  EXPECT_FALSE(Matches("[a]?", "ab"));
}

TEST(PathGlobTest, RefusesWhatCannotBeAGlob) {
  EXPECT_FALSE(PathGlob::Parse("").ok());
  EXPECT_FALSE(PathGlob::Parse("a\\").ok());
  EXPECT_FALSE(PathGlob::Parse("\xff").ok());
  EXPECT_FALSE(PathGlob::Parse(std::string(PathGlob::kMaxBytes + 1, 'a')).ok());
}

TEST(PathGlobTest, PathologicalPatternIsNoSlowerThanItsLength) {
  std::string pattern;
  for (int i = 0; i < 300; ++i) pattern += "*a";
  const std::string path(2000, 'a');
  EXPECT_TRUE(Matches(pattern, path));
  EXPECT_FALSE(Matches(pattern + "b", path));  // a backtracking matcher would not return
}

}  // namespace
}  // namespace confstream
