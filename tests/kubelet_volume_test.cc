#include "tests/fakes/kubelet_volume.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "tests/fakes/temporary_directory.h"

namespace confstream {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::MatchesRegex;
using ::testing::UnorderedElementsAre;

std::string ReadFile(const fs::path& path) {
  std::ifstream file(path);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

std::vector<std::string> Names(const fs::path& directory) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(directory)) {
    names.push_back(entry.path().filename().string());
  }
  return names;
}

std::string LinkText(const fs::path& link) { return fs::read_symlink(link).string(); }

mode_t Mode(const fs::path& path) {
  struct stat info = {};
  EXPECT_EQ(stat(path.c_str(), &info), 0) << path;
  return info.st_mode & 07777;
}

class KubeletVolumeTest : public ::testing::TestWithParam<KubeletGeneration> {
 protected:
  std::string Timestamped() { return fs::path(*volume_.DataDirectory()).filename().string(); }

  TemporaryDirectory directory_;
  KubeletVolume volume_{directory_.Path("volume"), {GetParam(), 0644, std::nullopt, nullptr}};
};

INSTANTIATE_TEST_SUITE_P(AllGenerations, KubeletVolumeTest,
                         ::testing::Values(KubeletGeneration::kCurrent, KubeletGeneration::kOlder,
                                           KubeletGeneration::kOldest),
                         [](const ::testing::TestParamInfo<KubeletGeneration>& generation)
                             -> std::string {
                           switch (generation.param) {
                             case KubeletGeneration::kCurrent:
                               return "Current";
                             case KubeletGeneration::kOlder:
                               return "Older";
                             case KubeletGeneration::kOldest:
                               return "Oldest";
                           }
                           return "Unknown";
                         });

TEST_P(KubeletVolumeTest, AFileIsReachedThroughDataInATimestampedDirectory) {
  EXPECT_TRUE(volume_.Swap({{"a.yaml", "x: 1"}}));
  EXPECT_EQ(LinkText(volume_.path() + "/a.yaml"), "..data/a.yaml");
  EXPECT_THAT(LinkText(volume_.path() + "/..data"),
              MatchesRegex("\\.\\.[0-9]{4}(_[0-9]{2}){5}\\.[A-Za-z0-9]{6}"));
  EXPECT_EQ(ReadFile(volume_.path() + "/a.yaml"), "x: 1");
  EXPECT_THAT(Names(volume_.path()), UnorderedElementsAre("a.yaml", "..data", Timestamped()));
  EXPECT_EQ(Mode(*volume_.DataDirectory()), 0755u);
  EXPECT_EQ(Mode(volume_.path() + "/a.yaml"), 0644u);
}

TEST_P(KubeletVolumeTest, ASwapReplacesAddsAndRemovesKeysAndTheOldDirectory) {
  volume_.Swap({{"kept", "1"}, {"removed", "1"}, {"sub/removed", "1"}});
  const std::string before = *volume_.DataDirectory();
  EXPECT_TRUE(volume_.Swap({{"kept", "2"}, {"added", "2"}, {"other/added", "2"}}));
  EXPECT_NE(*volume_.DataDirectory(), before);
  EXPECT_FALSE(fs::exists(before));
  EXPECT_THAT(Names(volume_.path()),
              UnorderedElementsAre("kept", "added", "other", "..data", Timestamped()));
  EXPECT_EQ(ReadFile(volume_.path() + "/kept"), "2");
  EXPECT_EQ(ReadFile(volume_.path() + "/other/added"), "2");
}

TEST_P(KubeletVolumeTest, EqualContentChangesNothing) {
  volume_.Swap({{"a", "1"}, {"sub/b", "2"}});
  const std::string before = Timestamped();
  EXPECT_FALSE(volume_.Swap({{"a", "1"}, {"sub/b", "2"}}));
  EXPECT_EQ(Timestamped(), before);
  EXPECT_TRUE(volume_.Swap({{"a", "1"}}));
  EXPECT_NE(Timestamped(), before);
}

TEST_P(KubeletVolumeTest, AConfigMapThatWasDeletedLeavesAnEmptyDataDirectory) {
  volume_.Swap({{"a", "1"}, {"sub/b", "2"}});
  EXPECT_TRUE(volume_.Swap({}));
  EXPECT_THAT(Names(*volume_.DataDirectory()), IsEmpty());
  EXPECT_THAT(Names(volume_.path()), UnorderedElementsAre("..data", Timestamped()));
}

TEST_P(KubeletVolumeTest, AnAbsentConfigMapHasAnEmptyDataDirectoryExceptInTheOldest) {
  const bool oldest = GetParam() == KubeletGeneration::kOldest;
  EXPECT_EQ(volume_.Swap({}), !oldest);
  EXPECT_EQ(volume_.DataDirectory().has_value(), !oldest);
  EXPECT_THAT(Names(volume_.path()), testing::SizeIs(oldest ? 0 : 2));
}

TEST_P(KubeletVolumeTest, EveryStepIsDoneInItsGenerationsOrder) {
  volume_.Swap({{"a", "1"}});
  std::vector<KubeletStep> steps;
  volume_.options().after_step = [&](KubeletStep step) { steps.push_back(step); };
  volume_.Swap({{"a", "2"}, {"b", "2"}});
  using S = KubeletStep;
  if (GetParam() == KubeletGeneration::kCurrent) {
    EXPECT_THAT(steps,
                ElementsAre(S::kDirectoryMade, S::kFileWritten, S::kFileWritten, S::kDataTmpLinked,
                            S::kDataSwapped, S::kKeysLinked, S::kKeysUnlinked, S::kOldRemoved));
  } else {
    EXPECT_THAT(steps,
                ElementsAre(S::kDirectoryMade, S::kFileWritten, S::kFileWritten, S::kKeysLinked,
                            S::kDataTmpLinked, S::kDataSwapped, S::kKeysUnlinked, S::kOldRemoved));
  }
}

TEST_P(KubeletVolumeTest, DataAlwaysLeadsToOneWholeGeneration) {
  volume_.Swap({{"a", "1"}, {"b", "1"}});
  bool swapped = false;
  volume_.options().after_step = [&](KubeletStep step) {
    swapped = swapped || step == KubeletStep::kDataSwapped;
    const std::string expected = swapped ? "2" : "1";
    EXPECT_EQ(ReadFile(volume_.path() + "/..data/a"), expected);
    EXPECT_EQ(ReadFile(volume_.path() + "/..data/b"), expected);
  };
  volume_.Swap({{"a", "2"}, {"b", "2"}, {"c", "2"}});
  EXPECT_TRUE(swapped);
}

TEST_P(KubeletVolumeTest, LinksDangleAroundTheSwapAsTheGenerationHasIt) {
  volume_.Swap({{"removed", "1"}});
  bool new_link_dangled = false;
  bool new_key_without_link = false;
  bool removed_link_dangled = false;
  volume_.options().after_step = [&](KubeletStep step) {
    const fs::path added = volume_.path() + "/added";
    if (step == KubeletStep::kDataTmpLinked) {
      new_link_dangled = fs::is_symlink(added) && !fs::exists(added);
    }
    if (step == KubeletStep::kDataSwapped) {
      new_key_without_link = !fs::is_symlink(added);
      const fs::path removed = volume_.path() + "/removed";
      removed_link_dangled = fs::is_symlink(removed) && !fs::exists(removed);
    }
  };
  volume_.Swap({{"added", "2"}});
  EXPECT_EQ(new_link_dangled, GetParam() != KubeletGeneration::kCurrent);
  EXPECT_EQ(new_key_without_link, GetParam() == KubeletGeneration::kCurrent);
  EXPECT_TRUE(removed_link_dangled);
}

TEST_P(KubeletVolumeTest, ASubdirectoryIsALinkExceptInTheOldest) {
  volume_.Swap({{"sub/deep/b", "2"}});
  EXPECT_EQ(ReadFile(volume_.path() + "/sub/deep/b"), "2");
  if (GetParam() == KubeletGeneration::kOldest) {
    EXPECT_TRUE(fs::is_directory(fs::symlink_status(volume_.path() + "/sub/deep")));
    EXPECT_EQ(LinkText(volume_.path() + "/sub/deep/b"), "../../..data/sub/deep/b");
  } else {
    EXPECT_EQ(LinkText(volume_.path() + "/sub"), "..data/sub");
  }
}

TEST_P(KubeletVolumeTest, FilesGetTheModeThatWasAskedFor) {
  volume_.options().file_mode = 0400;
  volume_.Swap({{"a", "1"}});
  EXPECT_EQ(Mode(volume_.path() + "/a"), 0400u);
}

TEST_P(KubeletVolumeTest, FsGroupIsSetOverTheWholeVolumeBeforeTheSwap) {
  volume_.options().fs_group = getgid();
  bool before_swap = false;
  volume_.options().after_step = [&](KubeletStep step) {
    if (step == KubeletStep::kFsGroupSet) before_swap = !fs::exists(volume_.path() + "/..data_tmp");
  };
  volume_.Swap({{"a", "1"}});
  EXPECT_TRUE(before_swap);
  EXPECT_EQ(Mode(volume_.path() + "/a"), 0664u);
  EXPECT_EQ(Mode(*volume_.DataDirectory()), 02775u);
  EXPECT_EQ(Mode(volume_.path()) & 02770, 02770u);
}

TEST_P(KubeletVolumeTest, ATornDownVolumeIsGone) {
  volume_.Swap({{"a", "1"}, {"sub/b", "2"}});
  volume_.TearDown();
  EXPECT_FALSE(fs::exists(volume_.path()));
}

TEST_P(KubeletVolumeTest, ThousandsOfSwapsNeverUseADirectoryNameTwice) {
  std::set<std::string> names;
  for (int i = 0; i < 3000; ++i) {
    volume_.Swap({{"a", std::to_string(i)}});
    names.insert(Timestamped());
  }
  EXPECT_EQ(names.size(), 3000u);
}

TEST(TemporaryDirectoryTest, IsRemovedWithWhatIsUnreadableInIt) {
  std::string path;
  {
    TemporaryDirectory directory;
    path = directory.path();
    fs::create_directories(directory.Path("closed/inner"));
    std::ofstream(directory.Path("closed/inner/file")) << "x";
    fs::permissions(directory.Path("closed/inner"), fs::perms::none);
    fs::permissions(directory.Path("closed"), fs::perms::none);
  }
  EXPECT_FALSE(fs::exists(fs::symlink_status(path)));
}

}  // namespace
}  // namespace confstream
