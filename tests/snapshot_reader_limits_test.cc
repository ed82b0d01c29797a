// What is too large is refused before it is read.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "tests/snapshot_reader_fixture.h"

namespace confstream {
namespace {

using testing::ElementsAre;

TEST_F(SnapshotReaderTest, TooLargeAFileIsRefusedBeforeItIsRead) {
  config_.limits.max_file_bytes = 100;
  WriteFile(Path("s/small"), "x");
  ASSERT_EQ(truncate((WriteFile(Path("s/huge"), ""), Path("s/huge")).c_str(), int64_t{10} << 30),
            0);
  Configure("s");
  CountReads();
  const Reading reading = Read(ReadCause::kSettled);
  ASSERT_EQ(reading.violations.size(), 1u);
  EXPECT_EQ(reading.violations[0].rule, "limits.file_size");
  EXPECT_EQ(reading.violations[0].path, "huge");
  EXPECT_EQ(reads_, 1) << "the small one";
}

TEST_F(SnapshotReaderTest, FilesBesideOneThatIsRefusedAreReadOnce) {
  config_.limits.max_file_bytes = 2;
  WriteFile(Path("s/a"), "1");
  WriteFile(Path("s/large"), "123");
  MakeLink("/etc/passwd", Path("s/link"));
  WriteFile(Path("s/z"), "2");
  clock_.shift = absl::Seconds(10);
  Configure("s");
  CountReads();
  const Reading first = Read(ReadCause::kSettled);
  EXPECT_EQ(first.violations.size(), 2u);
  EXPECT_THAT(Contents(first), ElementsAre("a=1", "z=2"));
  const Reading second = Read(ReadCause::kSettled);
  EXPECT_THAT(Contents(second), ElementsAre("a=1", "z=2"));
  EXPECT_EQ(reads_, 2);
  WriteFile(Path("s/large"), "3");
  std::filesystem::remove(Path("s/link"));
  clock_.shift = absl::Seconds(20);
  const Reading third = Read(ReadCause::kSettled);
  EXPECT_TRUE(third.violations.empty());
  EXPECT_THAT(Contents(third), ElementsAre("a=1", "large=3", "z=2"));
  EXPECT_EQ(reads_, 3);
}

TEST_F(SnapshotReaderTest, ContentOutlivesATimeInWhichItWasTooMuch) {
  config_.limits.max_total_bytes = 5;
  WriteFile(Path("s/a"), "123");
  Configure("s");
  const Reading first = Read(ReadCause::kForced);
  WriteFile(Path("s/b"), "456");
  EXPECT_EQ(Read(ReadCause::kForced).violations.size(), 1u);
  std::filesystem::remove(Path("s/b"));
  const Reading third = Read(ReadCause::kForced);
  ASSERT_EQ(third.generation.files.size(), 1u);
  EXPECT_EQ(first.generation.files[0].content, third.generation.files[0].content);
}

TEST_F(SnapshotReaderTest, TooMuchTogetherIsRefused) {
  config_.limits.max_total_bytes = 5;
  WriteFile(Path("s/a"), "123");
  WriteFile(Path("s/b"), "456");
  Configure("s");
  CountReads();
  Reading reading = Read(ReadCause::kSettled);
  ASSERT_EQ(reading.violations.size(), 1u);
  EXPECT_EQ(reading.violations[0].rule, "limits.total_size");
  config_.limits.max_file_bytes = 5;
  WriteFile(Path("s/c"), "too large by itself");
  Configure("s");
  reading = Read(ReadCause::kSettled);
  ASSERT_EQ(reading.violations.size(), 2u) << "the others are too much even without it";
  EXPECT_EQ(reading.violations[0].rule, "limits.total_size");
  EXPECT_EQ(reading.violations[1].rule, "limits.file_size");
  EXPECT_EQ(reads_, 0);
}

}  // namespace
}  // namespace confstream
