#include "server/base/link_resolver.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/fakes/files.h"
#include "tests/fakes/kubelet_volume.h"
#include "tests/fakes/temporary_directory.h"

namespace confstream {
namespace {

class LinkResolverTest : public testing::Test {
 protected:
  std::string Path(const std::string& relative) { return directory_.Path(relative); }

  // The hops below the test's directory, as "directory:name", directories relative to it.
  std::vector<std::string> Hops(const ResolvedPath& resolved) {
    std::vector<std::string> hops;
    for (const Hop& hop : resolved.hops) {
      if (hop.directory.rfind(directory_.path(), 0) != 0) continue;
      hops.push_back(absl::StrCat(hop.directory.substr(directory_.path().size()), ":", hop.name));
    }
    return hops;
  }

  TemporaryDirectory directory_;
  PosixFileSystem file_system_;
  LinkResolver resolver_{&file_system_};
};

TEST_F(LinkResolverTest, EveryHopOfAChainOfLinksIsReturned) {
  WriteFile(Path("real/inner/file.yaml"), "x: 1");
  MakeLink("real", Path("second"));
  MakeLink(Path("second"), Path("first"));
  const ResolvedPath found = resolver_.ResolveSource(Path("first/inner/file.yaml"), false);
  ASSERT_TRUE(found.status.ok()) << found.status;
  EXPECT_EQ(found.target, Path("real/inner/file.yaml"));
  EXPECT_EQ(Hops(found), (std::vector<std::string>{":first", ":second", ":real", "/real:inner",
                                                   "/real/inner:file.yaml"}));
}

TEST_F(LinkResolverTest, StopsAtTheFirstMissingEntryAndNamesIt) {
  std::filesystem::create_directories(Path("a"));
  const ResolvedPath found = resolver_.ResolveSource(Path("a/b/c/d"), false);
  EXPECT_EQ(found.status.code(), absl::StatusCode::kNotFound);
  EXPECT_NE(found.status.message().find(Path("a/b")), absl::string_view::npos) << found.status;
  EXPECT_EQ(Hops(found), (std::vector<std::string>{":a", "/a:b"}));
}

TEST_F(LinkResolverTest, DanglingLinkEndsWhereItsTargetIsMissing) {
  MakeLink("nowhere/at/all", Path("link"));
  const ResolvedPath found = resolver_.ResolveSource(Path("link"), false);
  EXPECT_EQ(found.status.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(Hops(found), (std::vector<std::string>{":link", ":nowhere"}));
}

TEST_F(LinkResolverTest, LoopIsRefusedAfterFortyLinks) {
  MakeLink("b", Path("a"));
  MakeLink("a", Path("b"));
  const ResolvedPath found = resolver_.ResolveSource(Path("a"), false);
  EXPECT_EQ(found.status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_NE(found.status.message().find("40 links"), absl::string_view::npos);
}

TEST_F(LinkResolverTest, FileInTheMiddleOfThePathIsRefused) {
  WriteFile(Path("a"), "");
  EXPECT_EQ(resolver_.ResolveSource(Path("a/b"), false).status.code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST_F(LinkResolverTest, DotDotInALinkIsTakenPhysically) {
  WriteFile(Path("deep/er/file"), "");
  WriteFile(Path("deep/other"), "");
  MakeLink("deep/er", Path("link"));
  const ResolvedPath found = resolver_.ResolveSource(Path("link/../other"), false);
  ASSERT_TRUE(found.status.ok()) << found.status;
  EXPECT_EQ(found.target, Path("deep/other"));
}

TEST_F(LinkResolverTest, KubernetesVolumeIsEnteredThroughItsDataLink) {
  KubeletVolume volume(Path("volume"));
  volume.Swap({{"a.yaml", "1"}});
  const ResolvedPath found = resolver_.ResolveSource(volume.path(), false);
  ASSERT_TRUE(found.status.ok()) << found.status;
  EXPECT_TRUE(found.kubernetes_volume);
  EXPECT_EQ(found.target, *volume.DataDirectory());
  ASSERT_NE(FindDataHop(found), nullptr);
  EXPECT_EQ(FindDataHop(found)->directory, volume.path());
  EXPECT_EQ(found.generation_root, found.target_stat.id);
}

TEST_F(LinkResolverTest, VolumeWithoutItsDataLinkIsMissingAndNotEmpty) {
  KubeletVolume volume(Path("volume"));
  volume.Swap({{"a.yaml", "1"}});
  std::filesystem::remove(Path("volume/..data"));
  EXPECT_EQ(resolver_.ResolveSource(volume.path(), true).status.code(),
            absl::StatusCode::kNotFound);
  EXPECT_TRUE(resolver_.ResolveSource(volume.path(), false).status.ok());  // never known as one
}

TEST_F(LinkResolverTest, GenerationRootIsTheTargetOfTheLastLink) {
  WriteFile(Path("worktrees/abc/conf/a.yaml"), "1");
  MakeLink("worktrees/abc", Path("current"));
  const ResolvedPath found = resolver_.ResolveSource(Path("current/conf"), false);
  ASSERT_TRUE(found.status.ok());
  EXPECT_EQ(found.target, Path("worktrees/abc/conf"));
  EXPECT_EQ(found.generation_root, resolver_.Resolve(Path("worktrees/abc")).target_stat.id);
}

TEST_F(LinkResolverTest, RouteDiffersWhenALinkIsRetargetedOrReplacedByItsLike) {
  std::filesystem::create_directories(Path("one"));
  std::filesystem::create_directories(Path("two"));
  SwapLink("one", Path("link"));
  const ResolvedPath before = resolver_.ResolveSource(Path("link"), false);
  EXPECT_TRUE(SameRoute(before, resolver_.ResolveSource(Path("link"), false)));
  SwapLink("two", Path("link"));
  EXPECT_FALSE(SameRoute(before, resolver_.ResolveSource(Path("link"), false)));
  SwapLink("one", Path("link"));  // the same text, another link
  EXPECT_FALSE(SameRoute(before, resolver_.ResolveSource(Path("link"), false)));
}

}  // namespace
}  // namespace confstream
