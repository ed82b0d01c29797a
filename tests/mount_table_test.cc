#include "server/base/mount_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/base/file_system.h"
#include "server/base/mount_guard.h"

namespace confstream {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr char kTable[] =
    "27 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n"
    "40 27 0:40 /pods/x/volumes/v /mnt/with\\040space ro shared:3 master:1 - tmpfs tmpfs rw\n"
    "41 27 0:41 / /mnt/nfs rw - nfs4 server:/export rw\n"
    "42 41 0:42 / /mnt/nfs/inner rw - tmpfs tmpfs rw\n"
    "43 27 0:43 /v/..2026_01_31_10_00_00.123/key /etc/key ro - tmpfs tmpfs rw\n"
    "44 27 0:44 /gone//deleted /mnt/gone ro - tmpfs tmpfs rw\n"
    "nonsense\n"
    "45 27\n";

TEST(MountTableTest, ReadsWhatIsMountedWhereAndPassesOverWhatItCannotRead) {
  const MountTable table = MountTable::Parse(kTable);
  ASSERT_EQ(table.all().size(), 6u);
  const Mount* mount = table.FindById(40);
  ASSERT_NE(mount, nullptr);
  EXPECT_EQ(mount->root, "/pods/x/volumes/v");
  EXPECT_EQ(mount->point, "/mnt/with space");
  EXPECT_EQ(mount->type, "tmpfs");
  EXPECT_EQ(table.FindById(45), nullptr);
}

TEST(MountTableTest, SaysWhichMountsArePassedOnTheWayAndWhichAreBelow) {
  const MountTable table = MountTable::Parse(kTable);
  const auto has_id = [](int64_t id) { return testing::Field(&Mount::id, id); };
  EXPECT_THAT(table.OnTheWay("/mnt/nfs/inner/x"), ElementsAre(has_id(27), has_id(41), has_id(42)));
  EXPECT_THAT(table.OnTheWay("/mnt/nfsx"), ElementsAre(has_id(27)));
  EXPECT_THAT(table.Below("/mnt/nfs"), ElementsAre(has_id(42)));
  EXPECT_THAT(table.Below("/etc/key"), IsEmpty());
}

TEST(MountTableTest, KnowsADeletedRootAndASubPathMount) {
  const MountTable table = MountTable::Parse(kTable);
  EXPECT_TRUE(table.FindById(44)->root_deleted());
  EXPECT_FALSE(table.FindById(43)->root_deleted());
  EXPECT_TRUE(table.FindById(43)->root_in_generation());
  EXPECT_FALSE(table.FindById(40)->root_in_generation());
}

TEST(MountTableTest, OfThisMachineHasTheMountOfAnOpenFile) {
  PosixFileSystem file_system;
  const auto table = file_system.Mounts();
  ASSERT_TRUE(table.ok()) << table.status();
  const auto root = file_system.OpenRoot();
  ASSERT_TRUE(root.ok());
  const auto id = file_system.MountId(root->get());
  ASSERT_TRUE(id.ok()) << id.status();
  ASSERT_NE(table->FindById(*id), nullptr);
  EXPECT_EQ(table->FindById(*id)->point, "/");
}

TEST(MountGuardTest, ForbidsWhereAFileSystemBeginsThatIsNotKnownToBeLocal) {
  const MountGuard guard(MountTable::Parse(kTable));
  EXPECT_TRUE(guard.MayTouch("/").ok());
  EXPECT_TRUE(guard.MayTouch("/mnt").ok());
  const absl::Status status = guard.MayTouch("/mnt/nfs");
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(status.message()), HasSubstr("/mnt/nfs is a file system of type nfs4"));
  EXPECT_TRUE(guard.IsMountPoint("/etc/key"));
  EXPECT_FALSE(guard.IsMountPoint("/etc"));
}

TEST(MountGuardTest, WhatWasMountedLastAtAPointCounts) {
  const std::string local = "60 41 0:60 / /mnt/nfs rw - ext4 /dev/vdb rw\n";
  EXPECT_TRUE(MountGuard(MountTable::Parse(kTable + local)).MayTouch("/mnt/nfs").ok());
  EXPECT_FALSE(MountGuard(MountTable::Parse(local + kTable)).MayTouch("/mnt/nfs").ok());
}

}  // namespace
}  // namespace confstream
