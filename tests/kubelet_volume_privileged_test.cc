// What a container sees of a volume that is bind-mounted into it. Needs root: it mounts, in a mount
// namespace of its own that ends with the process.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "tests/fakes/kubelet_volume.h"
#include "tests/fakes/temporary_directory.h"

namespace confstream {
namespace {

namespace fs = std::filesystem;

nlink_t LinkCount(const std::string& path) {
  struct stat info = {};
  EXPECT_EQ(stat(path.c_str(), &info), 0) << path << ": " << std::strerror(errno);
  return info.st_nlink;
}

std::string ReadFile(const std::string& path) {
  std::ifstream file(path);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

class MountedVolumeTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(unshare(CLONE_NEWNS), 0) << std::strerror(errno);
    ASSERT_EQ(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0)
        << std::strerror(errno);
  }

  void TearDown() override { umount2(mount_point_.c_str(), MNT_DETACH); }

  void BindMount(const std::string& from) {
    ASSERT_EQ(mount(from.c_str(), mount_point_.c_str(), nullptr, MS_BIND, nullptr), 0)
        << std::strerror(errno);
  }

  TemporaryDirectory directory_;
  KubeletVolume volume_{directory_.Path("volume")};
  const std::string mount_point_ = directory_.Path("mounted");
};

TEST_F(MountedVolumeTest, SwapsAreSeenThroughABindMountOfTheVolume) {
  volume_.Swap({{"a", "1"}});
  fs::create_directory(mount_point_);
  BindMount(volume_.path());
  volume_.Swap({{"a", "2"}});
  EXPECT_EQ(ReadFile(mount_point_ + "/a"), "2");
}

TEST_F(MountedVolumeTest, ATornDownVolumeIsAnEmptyDirectoryWithoutLinksForEver) {
  volume_.Swap({{"a", "1"}});
  fs::create_directory(mount_point_);
  BindMount(volume_.path());
  volume_.TearDown();
  EXPECT_EQ(LinkCount(mount_point_), 0u);
  KubeletVolume written_again(volume_.path());
  written_again.Swap({{"a", "2"}});
  EXPECT_TRUE(fs::is_empty(mount_point_));
}

TEST_F(MountedVolumeTest, ASubPathMountIsFrozenWithoutLinksByTheFirstSwap) {
  volume_.Swap({{"a", "1"}});
  std::ofstream(mount_point_).close();
  BindMount(fs::canonical(volume_.path() + "/a").string());
  EXPECT_EQ(LinkCount(mount_point_), 1u);
  volume_.Swap({{"a", "2"}});
  EXPECT_EQ(LinkCount(mount_point_), 0u);
  EXPECT_EQ(ReadFile(mount_point_), "1");
}

}  // namespace
}  // namespace confstream
