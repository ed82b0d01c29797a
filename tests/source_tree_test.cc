#include "server/base/source_tree.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/fakes/files.h"
#include "tests/fakes/kubelet_volume.h"
#include "tests/fakes/temporary_directory.h"

namespace confstream {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class SourceTreeTest : public testing::Test {
 protected:
  SourceTreeTest() {
    rules_.max_files = 100;
    rules_.max_depth = 8;
    std::filesystem::create_directories(Path("source"));
  }

  std::string Path(const std::string& relative) { return directory_.Path(relative); }

  SourceTree List(const std::string& relative = "source", const KnownListings* known = nullptr) {
    const LinkResolver resolver(&file_system_);
    const ResolvedPath resolved = resolver.ResolveSource(Path(relative), false);
    EXPECT_TRUE(resolved.status.ok()) << resolved.status;
    auto tree = ListSourceTree(&file_system_, resolved, rules_, nullptr, known);
    EXPECT_TRUE(tree.ok()) << tree.status();
    return tree.ok() ? *std::move(tree) : SourceTree();
  }

  static std::vector<std::string> Paths(const SourceTree& tree) {
    std::vector<std::string> paths;
    for (const TreeFile& file : tree.files) paths.push_back(file.path);
    return paths;
  }

  static std::vector<std::string> Refusals(const SourceTree& tree) {
    std::vector<std::string> refusals;
    for (const TreeRefusal& refusal : tree.refusals) {
      refusals.push_back(absl::StrCat(refusal.rule, " ", refusal.path));
    }
    return refusals;
  }

  static PathGlob Glob(absl::string_view pattern) { return *PathGlob::Parse(pattern); }

  TemporaryDirectory directory_;
  PosixFileSystem file_system_;
  TreeRules rules_;
};

TEST_F(SourceTreeTest, FilesComeInByteOrderOfTheirWholePaths) {
  WriteFile(Path("source/b.yaml"), "");
  WriteFile(Path("source/a/z.yaml"), "");
  WriteFile(Path("source/a.yaml"), "");
  WriteFile(Path("source/a/b/c"), "");
  EXPECT_THAT(Paths(List()),
              ElementsAre("a.yaml", "a/b/c", "a/z.yaml", "b.yaml"));  // '.' sorts before '/'
}

TEST_F(SourceTreeTest, MoreDirectoriesThanAnEighthOfTheDescriptorsAreRefused) {
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit few = before;
  few.rlim_cur = 128;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
  for (int i = 0; i < 15; ++i) WriteFile(Path(absl::StrCat("source/", i, "/a")), "");
  const SourceTree allowed = List();
  MakeLink("0", Path("source/again"));
  const SourceTree refused = List();
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_EQ(allowed.files.size(), 15u);
  EXPECT_THAT(Refusals(refused), ElementsAre("limits.directories "));
}

TEST_F(SourceTreeTest, LinksThatLeadThroughTooManyNamesInAllAreRefused) {
  rules_.max_files = 100;  // so 10 800 names
  WriteFile(Path("source/d/file"), "");
  std::string text = "file";
  for (int i = 0; i < 300; ++i) text = "../d/" + text;
  for (int i = 0; i < 30; ++i) MakeLink(text, Path(absl::StrCat("source/d/link", i)));
  EXPECT_THAT(List().refusals, IsEmpty());
  for (int i = 0; i < 10; ++i) MakeLink(text, Path(absl::StrCat("source/d/more", i)));
  EXPECT_THAT(Refusals(List()), ElementsAre("limits.links "));
}

TEST_F(SourceTreeTest, LinkThatLeadsThroughTooManyNamesDangles) {
  WriteFile(Path("source/d/file"), "");
  std::string text = "file";
  for (int i = 0; i < 400; ++i) text = "../d/" + text;
  MakeLink(text, Path("source/d/once"));
  MakeLink(text.substr(0, text.size() - 4) + "once", Path("source/d/twice"));
  const SourceTree tree = List();
  EXPECT_THAT(Paths(tree), ElementsAre("d/file", "d/once"));
  EXPECT_THAT(Refusals(tree), ElementsAre("link.dangling d/twice"));
}

TEST_F(SourceTreeTest, LinkWhoseTextHasTooLongANameDangles) {
  MakeLink(std::string(300, 'x'), Path("source/link"));
  EXPECT_THAT(Refusals(List()), ElementsAre("link.dangling link"));
}

TEST_F(SourceTreeTest, KubernetesVolumeIsReadThroughDataAndDanglingKeysDoNotCount) {
  KubeletVolume volume(Path("volume"));
  volume.Swap({{"a.yaml", "1"}, {"sub/b.yaml", "2"}});
  MakeLink("..data/removed", Path("volume/removed"));
  const SourceTree tree = List("volume");
  EXPECT_THAT(Paths(tree), ElementsAre("a.yaml", "sub/b.yaml"));
  EXPECT_THAT(tree.refusals, IsEmpty());
}

TEST_F(SourceTreeTest, WhatEditorsAndCopyingProgramsLeaveIsNotPartOfTheSource) {
  for (const char* name : {"a.yaml~", ".#a.yaml", "#a.yaml#", ".a.yaml.swp", ".a.yaml.swx", "4913",
                           ".git", ".nfs0001", ".a.yaml.Xy12Zq", ".~tmp~", "..hidden"}) {
    WriteFile(Path(absl::StrCat("source/", name)), "");
  }
  WriteFile(Path("source/.env"), "");
  WriteFile(Path("source/a.yaml"), "");
  EXPECT_THAT(Paths(List()), ElementsAre(".env", "a.yaml"));
}

TEST_F(SourceTreeTest, IncludeAndExcludeSelectByRelativePath) {
  WriteFile(Path("source/a.yaml"), "");
  WriteFile(Path("source/a.txt"), "");
  WriteFile(Path("source/sub/b.yaml"), "");
  WriteFile(Path("source/skip/c.yaml"), "");
  rules_.include = {Glob("**/*.yaml")};
  rules_.exclude = {Glob("skip")};
  EXPECT_THAT(Paths(List()), ElementsAre("a.yaml", "sub/b.yaml"));
}

TEST_F(SourceTreeTest, LinkThatStaysInsideIsFollowedAndItsHopsAreTold) {
  WriteFile(Path("source/real/a.yaml"), "");
  MakeLink("real/a.yaml", Path("source/link.yaml"));
  MakeLink("real", Path("source/dir"));
  const SourceTree tree = List();
  EXPECT_THAT(Paths(tree), ElementsAre("dir/a.yaml", "link.yaml", "real/a.yaml"));
  EXPECT_THAT(tree.refusals, IsEmpty());
  bool found = false;
  for (const Hop& hop : tree.link_hops) {
    found = found || (hop.directory == Path("source") && hop.name == "link.yaml");
  }
  EXPECT_TRUE(found);
}

TEST_F(SourceTreeTest, LinkThatLeadsOutIsRefusedWithLinkAndTargetUnlessItsRootIsListed) {
  WriteFile(Path("outside/secret"), "");
  MakeLink("../outside/secret", Path("source/leak"));
  SourceTree tree = List();
  EXPECT_THAT(Refusals(tree), ElementsAre("link.confinement leak"));
  EXPECT_THAT(tree.refusals[0].message, HasSubstr(Path("outside/secret")));
  EXPECT_THAT(Paths(tree), IsEmpty());

  rules_.link_roots = {Path("outside")};
  tree = List();
  EXPECT_THAT(tree.refusals, IsEmpty());
  EXPECT_THAT(Paths(tree), ElementsAre("leak"));
}

TEST_F(SourceTreeTest, LinkToAFileOutsideThatIsNotIncludedIsLeftOut) {
  WriteFile(Path("outside/secret"), "");
  MakeLink("../outside/secret", Path("source/leak.txt"));
  WriteFile(Path("source/a.yaml"), "");
  rules_.include = {Glob("*.yaml")};
  const SourceTree tree = List();
  EXPECT_THAT(tree.refusals, IsEmpty());
  EXPECT_THAT(Paths(tree), ElementsAre("a.yaml"));
  EXPECT_EQ(tree.left_out.path, "leak.txt");
  // What is below a directory may be included.
  MakeLink("../outside", Path("source/dir.txt"));
  EXPECT_THAT(Refusals(List()), ElementsAre("link.confinement dir.txt"));
}

TEST_F(SourceTreeTest, LinksHoldNoDescriptors) {
  rules_.max_files = 1000;
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit few = before;
  few.rlim_cur = 128;
  WriteFile(Path("source/file"), "text");
  for (int i = 0; i < 300; ++i) MakeLink("file", Path(absl::StrCat("source/link", i)));
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
  const SourceTree tree = List();
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_EQ(tree.files.size(), 301u);
}

TEST_F(SourceTreeTest, WhatIsOpenedIsWhatWasListed) {
  WriteFile(Path("source/one"), "1");
  WriteFile(Path("source/two"), "2");
  MakeLink("one", Path("source/link"));
  const SourceTree tree = List();
  ASSERT_THAT(Paths(tree), ElementsAre("link", "one", "two"));
  const auto opened = OpenListed(&file_system_, tree, tree.files[0]);
  ASSERT_TRUE(opened.ok()) << opened.status();
  EXPECT_EQ(file_system_.Stat((*opened)->get())->id, tree.files[0].target);
  std::filesystem::remove(Path("source/link"));
  MakeLink("two", Path("source/link"));
  EXPECT_TRUE(absl::IsNotFound(OpenListed(&file_system_, tree, tree.files[0]).status()));
}

TEST_F(SourceTreeTest, WhatIsListedIsLookedAtThroughItsLinkAndNoOther) {
  WriteFile(Path("source/one"), "1");
  WriteFile(Path("source/two"), "22");
  MakeLink("two", Path("source/link"));
  const SourceTree tree = List();
  ASSERT_THAT(Paths(tree), ElementsAre("link", "one", "two"));
  const auto stat = [&](size_t file) { return StatListed(&file_system_, tree, tree.files[file]); };
  EXPECT_EQ(stat(0)->size_bytes, 2);
  EXPECT_EQ(stat(0)->id, stat(2)->id);
  MakeLink("one", Path("source/link"));
  EXPECT_TRUE(absl::IsNotFound(stat(0).status()));
  MakeLink("two", Path("source/one"));
  EXPECT_EQ(stat(1)->kind, FileKind::kLink);
  std::filesystem::remove(Path("source/two"));
  EXPECT_TRUE(absl::IsNotFound(stat(2).status()));
}

TEST_F(SourceTreeTest, WithoutLinksNothingBelowALinkIsFound) {
  WriteFile(Path("source/dir/file"), "text");
  MakeLink("dir", Path("source/link"));
  MakeLink("dir/file", Path("source/to-file"));
  const ResolvedPath source = LinkResolver(&file_system_).ResolveSource(Path("source"), false);
  const auto open = [&](const std::string& path) {
    return OpenWithoutLinks(&file_system_, source, path);
  };
  const auto file = open("dir/file");
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(file_system_.Stat(file->get())->size_bytes, 4);
  EXPECT_FALSE(open("link/file").ok());
  EXPECT_EQ(file_system_.Stat(open("to-file")->get())->kind, FileKind::kLink);
  EXPECT_TRUE(absl::IsNotFound(open("dir/none").status()));
}

TEST_F(SourceTreeTest, LinksThatDangleOrRunInACircleAreRefused) {
  MakeLink("nowhere", Path("source/dangling"));
  std::filesystem::create_directories(Path("source/sub"));
  MakeLink("..", Path("source/sub/up"));
  MakeLink("self", Path("source/self"));
  EXPECT_THAT(Refusals(List()),
              testing::UnorderedElementsAre("link.dangling dangling", "link.loop sub/up",
                                            "link.dangling self"));
}

TEST_F(SourceTreeTest, PipeIsRefusedWithoutBeingOpened) {
  ASSERT_EQ(mkfifo(Path("source/pipe").c_str(), 0644), 0);
  EXPECT_THAT(Refusals(List()), ElementsAre("file.type pipe"));
  rules_.exclude = {Glob("pipe")};
  EXPECT_THAT(Refusals(List()), IsEmpty());
}

TEST_F(SourceTreeTest, TooManyFilesAreRefusedOnce) {
  rules_.max_files = 5;
  for (int i = 0; i < 20; ++i) WriteFile(Path(absl::StrCat("source/f", i)), "");
  EXPECT_THAT(Refusals(List()), ElementsAre("limits.files "));
}

TEST_F(SourceTreeTest, TreeOfEmptyDirectoriesIsBoundedToo) {
  rules_.max_files = 5;
  for (int i = 0; i < 20; ++i)
    std::filesystem::create_directories(Path(absl::StrCat("source/d", i)));
  EXPECT_THAT(Refusals(List()), ElementsAre("limits.files "));
}

TEST_F(SourceTreeTest, TooDeepADirectoryIsRefused) {
  rules_.max_depth = 2;
  WriteFile(Path("source/1/2/ok"), "");
  WriteFile(Path("source/1/2/3/deep"), "");
  const SourceTree tree = List();
  EXPECT_THAT(Paths(tree), ElementsAre("1/2/ok"));
  EXPECT_THAT(Refusals(tree), ElementsAre("limits.depth 1/2/3/"));
}

TEST_F(SourceTreeTest, NamesOfADirectoryThatLooksTheSameAreTakenFromTheKnownListing) {
  WriteFile(Path("source/a/f"), "");
  WriteFile(Path("source/b/f"), "");
  KnownListings known;
  for (const TreeDirectory& directory : List().directories) {
    DirectoryListing listing = *directory.listing;
    listing.entries.push_back(
        {"known-" + directory.path.substr(directory.path.size() - 1), FileKind::kRegular});
    known[directory.prefix] = std::make_shared<const DirectoryListing>(std::move(listing));
  }
  EXPECT_THAT(Paths(List("source", &known)),
              ElementsAre("a/f", "a/known-a", "b/f", "b/known-b", "known-e"));
  WriteFile(Path("source/b/new"), "");
  EXPECT_THAT(Paths(List("source", &known)),
              ElementsAre("a/f", "a/known-a", "b/f", "b/new", "known-e"));
  // Another directory of the same name.
  std::filesystem::rename(Path("source/a"), Path("other"));
  WriteFile(Path("source/a/g"), "");
  EXPECT_THAT(Paths(List("source", &known)), ElementsAre("a/g", "b/f", "b/new"));
}

TEST_F(SourceTreeTest, SingleFileIsNamedAsConfigured) {
  WriteFile(Path("v2"), "");
  MakeLink("v2", Path("app.yaml"));
  EXPECT_THAT(Paths(List("app.yaml")), ElementsAre("app.yaml"));
}

}  // namespace
}  // namespace confstream
