#include "server/base/link_resolver.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
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

// StillLeads() takes the short way while the route holds its directories, and the whole way
// without: both answer the same.
class StillLeadsTest : public LinkResolverTest {
 protected:
  // What both ways say of the path `relative` after `change`.
  void ExpectAfter(const std::string& relative, const std::function<void()>& change, bool expected,
                   bool is_volume = false) {
    ResolvedPath route = resolver_.ResolveSource(Path(relative), is_volume);
    ASSERT_TRUE(route.status.ok()) << route.status;
    ASSERT_NE(route.hops.front().directory_fd, nullptr);
    ASSERT_TRUE(resolver_.StillLeads(Path(relative), is_volume, route));
    change();
    EXPECT_EQ(resolver_.StillLeads(Path(relative), is_volume, route), expected) << "held";
    route.LetGo();
    EXPECT_EQ(route.target_fd, nullptr);
    EXPECT_EQ(resolver_.StillLeads(Path(relative), is_volume, route), expected) << "not held";
  }
};

TEST_F(StillLeadsTest, WhatIsBesideTheWayIsNothingToIt) {
  WriteFile(Path("real/inner/file.yaml"), "x: 1");
  MakeLink("real", Path("link"));
  ExpectAfter(
      "link/inner/file.yaml",
      [&] {
        WriteFile(Path("other"), "");
        WriteFile(Path("real/inner/file.yaml"), "x: 2");
      },
      true);
}

TEST_F(StillLeadsTest, RetargetedLinkLeadsElsewhere) {
  std::filesystem::create_directories(Path("one"));
  std::filesystem::create_directories(Path("two"));
  MakeLink("one", Path("link"));
  ExpectAfter(
      "link",
      [&] {
        MakeLink("two", Path("tmp"));
        std::filesystem::rename(Path("tmp"), Path("link"));
      },
      false);
}

TEST_F(StillLeadsTest, LinkReplacedByItsLikeIsAnother) {
  std::filesystem::create_directories(Path("one"));
  MakeLink("one", Path("link"));
  ExpectAfter(
      "link",
      [&] {
        MakeLink("one", Path("tmp"));
        std::filesystem::rename(Path("tmp"), Path("link"));
      },
      false);
}

TEST_F(StillLeadsTest, AncestorReplacedByItsLikeIsAnother) {
  std::filesystem::create_directories(Path("a/b/c"));
  ExpectAfter(
      "a/b/c",
      [&] {
        std::filesystem::rename(Path("a"), Path("old"));
        std::filesystem::create_directories(Path("a/b/c"));
      },
      false);
}

TEST_F(StillLeadsTest, FileThatIsReplacedOrGoneIsAnother) {
  WriteFile(Path("file"), "1");
  ExpectAfter(
      "file",
      [&] {
        WriteFile(Path("tmp"), "1");
        std::filesystem::rename(Path("tmp"), Path("file"));
      },
      false);
  ExpectAfter(
      "file", [&] { std::filesystem::remove(Path("file")); }, false);
}

TEST_F(StillLeadsTest, SwapOfAVolumeLeadsElsewhere) {
  KubeletVolume volume(Path("volume"));
  volume.Swap({{"a", "1"}});
  ExpectAfter(
      "volume",
      [&] {
        volume.Swap({{"a", "2"}});
      },
      false, true);
}

TEST_F(StillLeadsTest, PlainDirectoryThatBecomesAVolumeLeadsElsewhere) {
  std::filesystem::create_directories(Path("plain/data"));
  ExpectAfter(
      "plain", [&] { WriteFile(Path("plain/..data.txt"), ""); }, true);
  ExpectAfter(
      "plain", [&] { MakeLink("data", Path("plain/..data")); }, false);
}

TEST_F(StillLeadsTest, WhatIsMissingIsLookedForAgain) {
  const ResolvedPath route = resolver_.ResolveSource(Path("a/b"), false);
  EXPECT_TRUE(resolver_.StillLeads(Path("a/b"), false, route));
  std::filesystem::create_directories(Path("a"));
  EXPECT_FALSE(resolver_.StillLeads(Path("a/b"), false, route));
}

TEST_F(StillLeadsTest, LongWayIsNotHeld) {
  std::string relative = "d";
  for (size_t i = 0; i < LinkResolver::kMaxHeldHops; ++i) absl::StrAppend(&relative, "/d");
  std::filesystem::create_directories(Path(relative));
  const ResolvedPath route = resolver_.ResolveSource(Path(relative), false);
  EXPECT_EQ(route.hops.back().directory_fd, nullptr);
  EXPECT_TRUE(resolver_.StillLeads(Path(relative), false, route));
  std::filesystem::rename(Path(relative), Path("elsewhere"));
  EXPECT_FALSE(resolver_.StillLeads(Path(relative), false, route));
}

TEST_F(StillLeadsTest, HopsOfWhatIsNoSourceHoldNothing) {
  std::filesystem::create_directories(Path("a/b"));
  for (const Hop& hop : resolver_.Resolve(Path("a/b")).hops) {
    EXPECT_EQ(hop.directory_fd, nullptr) << hop.name;
  }
}

}  // namespace
}  // namespace confstream
