#include "server/base/path_glob.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

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

TEST(PathGlobTest, WildcardsInARowAreThoseThatTheyStandFor) {
  EXPECT_TRUE(Matches("**/**/c", "c"));
  EXPECT_TRUE(Matches("**/**/c", "a/c"));
  EXPECT_FALSE(Matches("**/**/c", "ac"));
  EXPECT_TRUE(Matches("**/**", "a/b"));
  EXPECT_TRUE(Matches("a/**/*", "a/b"));
  EXPECT_TRUE(Matches("a/**/*", "a/b/c"));
  EXPECT_FALSE(Matches("a/**/*", "a"));
  EXPECT_TRUE(Matches("a/**/**/**x", "a/b/cx"));
  EXPECT_TRUE(Matches("****", "a/b"));
}

// The words of path_glob.h taken literally, for a pattern without `\\`.
bool MatchesNaively(absl::string_view pattern, absl::string_view path, bool starts_component) {
  if (pattern.empty()) return path.empty();
  if (pattern[0] != '*') {
    return !path.empty() && path[0] == pattern[0] &&
           MatchesNaively(pattern.substr(1), path.substr(1), pattern[0] == '/');
  }
  const size_t stars = std::min(pattern.find_first_not_of('*'), pattern.size());
  absl::string_view rest = pattern.substr(stars);
  const bool to_slash = stars > 1 && starts_component && !rest.empty() && rest[0] == '/';
  if (to_slash) rest.remove_prefix(1);
  for (size_t i = 0; i <= path.size(); ++i) {
    if (stars == 1 && i > 0 && path[i - 1] == '/') return false;
    if (to_slash && i > 0 && path[i - 1] != '/') continue;
    if (MatchesNaively(rest, path.substr(i), to_slash)) return true;
  }
  return false;
}

TEST(PathGlobTest, AgreesWithTheNaiveMatcherWhereverItsWordsBegin) {
  std::mt19937 random(7);
  const std::vector<std::string> pieces = {"*", "**", "**/", "/", "a", "b", "/**/", "/*"};
  int matched = 0;
  for (int round = 0; round < 20000; ++round) {
    // Literals before it move the wildcards over the bounds between words of 64 states.
    const std::string prefix(std::uniform_int_distribution<size_t>(0, 190)(random), 'p');
    std::string tail;
    for (size_t i = 0; i < 5; ++i) {
      tail += pieces[std::uniform_int_distribution<size_t>(0, pieces.size() - 1)(random)];
    }
    std::string path_tail;
    for (size_t i = std::uniform_int_distribution<size_t>(0, 9)(random); i > 0; --i) {
      path_tail += "ab/"[std::uniform_int_distribution<size_t>(0, 2)(random)];
    }
    const bool expected = MatchesNaively(tail, path_tail, prefix.empty());
    matched += expected ? 1 : 0;
    ASSERT_EQ(Matches(prefix + tail, prefix + path_tail), expected)
        << prefix.size() << " x p, then " << tail << " and " << path_tail;
  }
  EXPECT_GT(matched, 1000);
}

TEST(PathGlobTest, LongestPatternReachesItsEnd) {
  const std::string literal(PathGlob::kMaxBytes, 'a');
  EXPECT_TRUE(Matches(literal, literal));
  EXPECT_FALSE(Matches(literal, literal + "a"));
  EXPECT_FALSE(Matches(literal, literal.substr(1)));
  std::string every_byte;
  for (int c = 1; c < 0x80; ++c) every_byte += {'\\', static_cast<char>(c)};
  std::string plain;
  for (int c = 1; c < 0x80; ++c) plain += static_cast<char>(c);
  EXPECT_TRUE(Matches(every_byte + "\xc3\xa9\xf0\x9f\x98\x80", plain + "\xc3\xa9\xf0\x9f\x98\x80"));
  EXPECT_FALSE(Matches("\xc3\xa9", "\xc3\xa8"));
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
