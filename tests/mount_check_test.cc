#include "server/snapshot/mount_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "absl/strings/str_cat.h"
#include "tests/fakes/files.h"
#include "tests/fakes/hooked_file_system.h"
#include "tests/fakes/temporary_directory.h"

namespace confstream {
namespace {

using testing::HasSubstr;

// The real files below a temporary directory, with a mount table that the test writes.
class MountCheckTest : public testing::Test {
 protected:
  MountCheckTest() { WriteFile(directory_.Path("s/a"), "1"); }

  ResolvedPath Resolve(const std::string& relative) {
    return LinkResolver(&file_system_).ResolveSource(directory_.Path(relative), false);
  }

  // Says that what `relative` names is the mount of the files, with that root.
  void MountAt(const std::string& relative, const std::string& root) {
    const std::string point = relative == "/" ? "/" : directory_.Path(relative);
    file_system_.mounts = MountTable::Parse(
        absl::StrCat(Id(), " 1 0:1 ", root, " ", point, " rw - tmpfs tmpfs rw\n"));
  }

  std::string Id() {
    const ResolvedPath route = Resolve("s");
    return absl::StrCat(*file_system_.MountId(route.target_fd->get()));
  }

  TemporaryDirectory directory_;
  HookedFileSystem file_system_;
  MountCheck check_{&file_system_};
};

TEST_F(MountCheckTest, AMountThatLivesIsFine) {
  MountAt("s", "/v");
  const MountCheck::Finding finding = check_.Look(Resolve("s"));
  EXPECT_TRUE(finding.detached.ok());
  EXPECT_TRUE(finding.unmounted.ok());
  EXPECT_EQ(finding.warning, "");
}

TEST_F(MountCheckTest, AMountWhoseRootWasDeletedIsDetachedEvenIfThePathEndsThere) {
  MountAt("s", "/v//deleted");
  const absl::Status detached = check_.Look(Resolve("s")).detached;
  EXPECT_THAT(std::string(detached.message()), HasSubstr("what is mounted there was deleted"));
  EXPECT_THAT(std::string(detached.message()), HasSubstr("restart its pod"));
  EXPECT_FALSE(check_.Look(Resolve("s/..data")).detached.ok());
}

TEST_F(MountCheckTest, AFileThatIsMountedAndWasRenamedIsDetached) {
  MountAt("s/a", "/host/a");
  EXPECT_TRUE(check_.Look(Resolve("s/a")).detached.ok());
  MountAt("s/a", "/host/a~");
  const absl::Status detached = check_.Look(Resolve("s/a")).detached;
  EXPECT_THAT(std::string(detached.message()), HasSubstr("was renamed"));
}

TEST_F(MountCheckTest, ADirectoryThatIsMountedMayBeRenamed) {
  MountAt("s", "/host/s");
  EXPECT_TRUE(check_.Look(Resolve("s")).detached.ok());
  MountAt("s", "/host/t");
  EXPECT_TRUE(check_.Look(Resolve("s")).detached.ok());
}

TEST_F(MountCheckTest, WhatShowsOnceTheMountIsGoneIsNotTheSource) {
  MountAt("s", "/v");
  EXPECT_TRUE(check_.Look(Resolve("s")).unmounted.ok());
  MountAt("/", "/");
  const absl::Status unmounted = check_.Look(Resolve("s")).unmounted;
  EXPECT_EQ(unmounted.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(unmounted.message()), HasSubstr("is not mounted any more"));
  EXPECT_FALSE(check_.Look(Resolve("s")).unmounted.ok()) << "it stays so";
  MountAt("s", "/v");
  EXPECT_TRUE(check_.Look(Resolve("s")).unmounted.ok()) << "mounted again";
}

TEST_F(MountCheckTest, ASubPathMountIsWarnedOfBeforeItFreezes) {
  MountAt("s/a", "/v/..2026_01_31_10_00_00.5/a");
  const MountCheck::Finding finding = check_.Look(Resolve("s/a"));
  EXPECT_TRUE(finding.detached.ok());
  EXPECT_THAT(finding.warning, HasSubstr("mount the whole volume instead"));
}

TEST_F(MountCheckTest, WhereMountsCannotBeKnownNothingIsSaid) {
  file_system_.before = [](HookedFileSystem::Call call, const std::string&) {
    return call == HookedFileSystem::kMounts ? absl::NotFoundError("no /proc") : absl::OkStatus();
  };
  EXPECT_TRUE(check_.Look(Resolve("s")).detached.ok());
}

}  // namespace
}  // namespace confstream
