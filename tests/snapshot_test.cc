#include "server/snapshot/snapshot.h"

#include <gtest/gtest.h>

namespace confstream {
namespace {

// The literals were computed in a shell, in a directory that holds the files: sha256sum PATHS |
// sha256sum

TEST(TreeDigestTest, IsWhatSha256sumPrintsOverThePaths) {
  TreeDigest digest;
  digest.Add("a.yaml", Sha256::Of("x: 1\n"));
  digest.Add("b.json", Sha256::Of("{\"n\":1}\n"));
  EXPECT_EQ(digest.Finish().Text(),
            "sha256:75b4a59e44a8617f69c794f8ac1fa971e29aab85a52e3fcd8d433d13047205e3");
}

TEST(TreeDigestTest, NamesWithBackslashesAreEscapedAsSha256sumDoes) {
  TreeDigest digest;
  digest.Add("a\\b", Sha256::Of("x\n"));
  EXPECT_EQ(digest.Finish().Text(),
            "sha256:bf3e24161d73ecdbcb327bc16b85dcaf633607cc62aec1cb425991696a1b5380");
}

TEST(TreeDigestTest, NothingHasTheDigestOfTheEmptyText) {
  EXPECT_EQ(TreeDigest().Finish(), Sha256::Of(""));
}

}  // namespace
}  // namespace confstream
