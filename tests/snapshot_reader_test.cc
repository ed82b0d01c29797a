#include "server/snapshot/snapshot_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tests/fakes/kubelet_volume.h"
#include "tests/snapshot_reader_fixture.h"

namespace confstream {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

TEST_F(SnapshotReaderTest, VolumeReadThroughItsCommitPointNeedsNoQuiet) {
  KubeletVolume volume(Path("v"));
  volume.Swap({{"a.yaml", "1"}, {"sub/b.yaml", "2"}});
  Configure("v");
  const Reading reading = Read(ReadCause::kCommit);
  ASSERT_EQ(reading.result, Reading::kGeneration) << reading.status;
  EXPECT_FALSE(reading.needs_quiet);
  EXPECT_THAT(Contents(reading), ElementsAre("a.yaml=1", "sub/b.yaml=2"));
}

TEST_F(SnapshotReaderTest, SwapBetweenListingAndOpeningIsMovedAndNeverTorn) {
  KubeletVolume volume(Path("v"));
  volume.Swap({{"a", "1"}, {"b", "1"}});
  Configure("v");
  const ReadRequest request = Request(ReadCause::kCommit);
  bool swapped = false;
  file_system_.before = [&](HookedFileSystem::Call call, const std::string&) {
    if (call == HookedFileSystem::kOpenForReading && !swapped) {
      swapped = true;
      volume.Swap({{"a", "2"}, {"b", "2"}});
    }
    return absl::OkStatus();
  };
  EXPECT_EQ(reader_->Read(request).result, Reading::kMoved);
  EXPECT_TRUE(swapped);
  EXPECT_THAT(Contents(Read(ReadCause::kCommit)), ElementsAre("a=2", "b=2"));
}

TEST_F(SnapshotReaderTest, SwapAfterOpeningLeavesTheOldGenerationWhole) {
  KubeletVolume volume(Path("v"));
  volume.Swap({{"a", "1"}, {"b", "1"}});
  Configure("v");
  bool swapped = false;
  file_system_.before = [&](HookedFileSystem::Call call, const std::string&) {
    if (call == HookedFileSystem::kReadAt && !swapped) {
      swapped = true;
      volume.Swap({{"a", "2"}, {"b", "2"}});  // deletes the files that are open
    }
    return absl::OkStatus();
  };
  const Reading reading = Read(ReadCause::kCommit);
  ASSERT_EQ(reading.result, Reading::kGeneration);
  EXPECT_THAT(Contents(reading), ElementsAre("a=1", "b=1"));
}

TEST_F(SnapshotReaderTest, FileWrittenAfterTheCommitMakesItUnsettled) {
  std::filesystem::create_directories(Path("one"));
  WriteFile(Path("one/a"), "1");
  SwapLink("one", Path("link"));
  Configure("link");
  ReadRequest request = Request(ReadCause::kCommit);
  request.commit = HopName{directory_.path(), "link"};
  EXPECT_EQ(reader_->Read(request).result, Reading::kGeneration);
  // File systems stamp changes by a coarse clock: write until the stamp has moved on.
  const absl::Time swapped = request.route->hops[request.route->hops.size() - 2].entry.ctime;
  ASSERT_EQ(request.route->hops[request.route->hops.size() - 2].name, "link");
  while (LinkResolver(&real_).Resolve(Path("one/a")).target_stat.ctime <= swapped) {
    WriteFile(Path("one/a"), "2");
  }
  EXPECT_EQ(reader_->Read(request).result, Reading::kUnsettled);
}

TEST_F(SnapshotReaderTest, DirectoryMovedIntoPlaceIsCompleteUntilSomethingIsMadeInIt) {
  const auto stat = [this](const std::string& path) {
    return LinkResolver(&real_).Resolve(Path(path)).target_stat;
  };
  WriteFile(Path("s/a"), "1");
  WriteFile(Path("s/old"), "1");
  // File systems stamp changes by a coarse clock: move it until the stamp has moved on.
  const absl::Time made = std::max(stat("s").mtime, stat("s/old").ctime);
  do {
    std::filesystem::rename(Path("s"), Path("away"));
    std::filesystem::rename(Path("away"), Path("s"));
  } while (stat("s").ctime <= made);
  Configure("s");
  ReadRequest request = Request(ReadCause::kCommit);
  request.commit = HopName{directory_.path(), "s"};
  EXPECT_EQ(reader_->Read(request).result, Reading::kGeneration);
  std::filesystem::remove(Path("s/old"));
  request.route = Request(ReadCause::kCommit).route;
  EXPECT_EQ(reader_->Read(request).result, Reading::kUnsettled) << "more may be removed";
  WriteFile(Path("s/b"), "half");
  request.route = Request(ReadCause::kCommit).route;
  EXPECT_EQ(reader_->Read(request).result, Reading::kUnsettled);
}

TEST_F(SnapshotReaderTest, EmptyDirectoryBehindALinkIsUnsettledButAnEmptyVolumeIsValid) {
  std::filesystem::create_directories(Path("empty"));
  SwapLink("empty", Path("link"));
  Configure("link");
  ReadRequest request = Request(ReadCause::kCommit);
  request.commit = HopName{directory_.path(), "link"};
  EXPECT_EQ(reader_->Read(request).result, Reading::kUnsettled);

  KubeletVolume volume(Path("v"));
  volume.Swap({});
  Configure("v");
  const Reading reading = Read(ReadCause::kCommit);
  EXPECT_EQ(reading.result, Reading::kGeneration);
  EXPECT_TRUE(reading.violations.empty());
}

TEST_F(SnapshotReaderTest, PlainDirectoryWithoutFilesIsAMistakeUnlessAllowed) {
  std::filesystem::create_directories(Path("s"));
  Configure("s");
  Reading reading = Read(ReadCause::kSettled);
  ASSERT_EQ(reading.violations.size(), 1u);
  EXPECT_EQ(reading.violations[0].rule, "source.empty");
  config_.allow_empty = true;
  Configure("s");
  EXPECT_TRUE(Read(ReadCause::kSettled).violations.empty());
}

TEST_F(SnapshotReaderTest, SourceOfWhichTheGlobsLeaveNothingIsAMistakeThatNamesThem) {
  KubeletVolume volume(Path("v"));
  volume.Swap({{"a.yaml", "1"}, {"b.yaml", "1"}});
  config_.include = {*PathGlob::Parse("*.toml")};
  Configure("v");
  Reading reading = Read(ReadCause::kCommit);
  ASSERT_EQ(reading.violations.size(), 1u);
  EXPECT_EQ(reading.violations[0].rule, "source.empty");
  EXPECT_THAT(
      reading.violations[0].message,
      testing::HasSubstr(".yaml` and 1 more are left out, the first since no glob of `include` "
                         "matches it: "));
  config_.allow_empty = true;
  Configure("v");
  EXPECT_TRUE(Read(ReadCause::kCommit).violations.empty());
}

TEST_F(SnapshotReaderTest, MissingSourceIsSaidWithItsPathAndTheRemedy) {
  Configure("none/at/all");
  const Reading reading = Read(ReadCause::kRecheck);
  EXPECT_EQ(reading.result, Reading::kMissing);
  EXPECT_THAT(std::string(reading.status.message()),
              testing::AllOf(testing::HasSubstr(Path("none/at/all") + " leads nowhere: "),
                             testing::HasSubstr("configure another path")));
}

TEST_F(SnapshotReaderTest, PlainFilesRewrittenDuringTheReadingAreUnsettled) {
  WriteFile(Path("s/a"), "1");
  WriteFile(Path("s/b"), "1");
  Configure("s");
  int reads = 0;
  file_system_.before = [&](HookedFileSystem::Call call, const std::string&) {
    if (call == HookedFileSystem::kReadAt && ++reads == 2) {
      WriteFile(Path("s/a"), "20");
      WriteFile(Path("s/b"), "20");
    }
    return absl::OkStatus();
  };
  EXPECT_EQ(Read(ReadCause::kSettled).result, Reading::kUnsettled);
}

TEST_F(SnapshotReaderTest, FileAddedDuringTheReadingIsUnsettled) {
  WriteFile(Path("s/a"), "1");
  Configure("s");
  file_system_.before = [&](HookedFileSystem::Call call, const std::string&) {
    if (call == HookedFileSystem::kOpenForReading) WriteFile(Path("s/b"), "1");
    return absl::OkStatus();
  };
  EXPECT_EQ(Read(ReadCause::kSettled).result, Reading::kUnsettled);
}

TEST_F(SnapshotReaderTest, SecondLookThatFailsIsToldAndNotTakenForAChange) {
  WriteFile(Path("s/a"), "1");
  clock_.shift = absl::Seconds(1);
  Configure("s");
  int lists = 0;
  file_system_.before = [&](HookedFileSystem::Call call, const std::string&) {
    const bool second = call == HookedFileSystem::kList && ++lists == 2;
    return second ? absl::ResourceExhaustedError("too many open files") : absl::OkStatus();
  };
  const Reading reading = Read(ReadCause::kSettled);
  EXPECT_EQ(reading.result, Reading::kFailed);
  EXPECT_THAT(std::string(reading.status.message()), HasSubstr("too many open files"));
}

TEST_F(SnapshotReaderTest, ForcedReadingTakesTheFirstPassAtRest) {
  WriteFile(Path("s/a"), "1");
  WriteFile(Path("s/b"), "1");
  Configure("s");
  int writes = 0;
  file_system_.before = [&](HookedFileSystem::Call call, const std::string&) {
    if (call == HookedFileSystem::kReadAt && writes < 2) {
      ++writes;
      WriteFile(Path("s/a"), std::string(1, '1') + std::string(writes, '+'));
    }
    return absl::OkStatus();
  };
  const Reading reading = Read(ReadCause::kForced);
  ASSERT_EQ(reading.result, Reading::kGeneration);
  EXPECT_THAT(Contents(reading), ElementsAre("a=1++", "b=1"));
}

TEST_F(SnapshotReaderTest, ForcedReadingOfWhatNeverRestsIsStillPublished) {
  WriteFile(Path("s/a"), "0");
  Configure("s");
  int pass = 0;
  file_system_.before = [&](HookedFileSystem::Call call, const std::string&) {
    // Renamed over, so that the file being read keeps its size, and every pass finds another file.
    if (call == HookedFileSystem::kReadAt) {
      WriteFile(Path("next"), absl::StrCat(++pass % 10));
      std::filesystem::rename(Path("next"), Path("s/a"));
    }
    return absl::OkStatus();
  };
  EXPECT_EQ(Read(ReadCause::kForced).result, Reading::kGeneration);
}

TEST_F(SnapshotReaderTest, ForcedReadingOfAFileThatAlwaysGrowsIsPublished) {
  WriteFile(Path("s/a"), "0");
  WriteFile(Path("s/b"), "1");
  Configure("s");
  file_system_.before = [&](HookedFileSystem::Call call, const std::string&) {
    if (call == HookedFileSystem::kReadAt) {
      std::ofstream(Path("s/a"), std::ios::app) << "+";
    }
    return absl::OkStatus();
  };
  EXPECT_EQ(Read(ReadCause::kSettled).result, Reading::kUnsettled);
  const Reading reading = Read(ReadCause::kForced);
  ASSERT_EQ(reading.result, Reading::kGeneration) << reading.status;
  EXPECT_THAT(Contents(reading), ElementsAre(StartsWith("a=0+++++"), "b=1"));
}

TEST_F(SnapshotReaderTest, ForcedReadingTakesNoFileThatHasMoreThanItsLimit) {
  WriteFile(Path("s/a"), std::string(200, '+'));
  file_system_.said_size = 10;
  config_.limits.max_file_bytes = 50;
  Configure("s");
  const Reading large = Read(ReadCause::kForced);
  EXPECT_NE(large.result, Reading::kGeneration);
  EXPECT_THAT(std::string(large.status.message()), HasSubstr("beyond the limits"));
  config_.limits.max_file_bytes = 1000;
  config_.limits.max_total_bytes = 199;
  Configure("s");
  EXPECT_NE(Read(ReadCause::kForced).result, Reading::kGeneration);
  config_.limits.max_total_bytes = 200;
  Configure("s");
  EXPECT_EQ(Read(ReadCause::kForced).result, Reading::kGeneration);
}

// As on sysfs and procfs.
TEST_F(SnapshotReaderTest, FileWhoseSizeIsNotWhatCanBeReadIsTakenByAForcedReadingAndNeverReused) {
  WriteFile(Path("s/a"), "123");
  Configure("s");
  clock_.shift = absl::Seconds(10);
  file_system_.said_size = 4096;
  EXPECT_EQ(Read(ReadCause::kSettled).result, Reading::kUnsettled);
  EXPECT_THAT(Contents(Read(ReadCause::kForced)), ElementsAre("a=123"));
  file_system_.said_size = 0;
  EXPECT_THAT(Contents(Read(ReadCause::kForced)), ElementsAre("a=123"));
  CountReads();
  EXPECT_THAT(Contents(Read(ReadCause::kForced)), ElementsAre("a=123"));
  EXPECT_GE(reads_, 1);
}

TEST_F(SnapshotReaderTest, RecheckTrustsOnlyWhatHasBeenLeftAlone) {
  WriteFile(Path("s/a"), "1");
  Configure("s");
  EXPECT_EQ(Read(ReadCause::kRecheck).result, Reading::kUnsettled);
  clock_.shift = absl::Seconds(1);
  EXPECT_EQ(Read(ReadCause::kRecheck).result, Reading::kGeneration);
}

TEST_F(SnapshotReaderTest, FileStampedJustNowIsBeingWrittenWhateverTheEventsSay) {
  WriteFile(Path("s/a"), "1");
  Configure("s");
  EXPECT_EQ(Read(ReadCause::kSettled).result, Reading::kUnsettled);
  clock_.shift = absl::Milliseconds(260);  // more than half of settle
  EXPECT_EQ(Read(ReadCause::kSettled).result, Reading::kGeneration);
  clock_.shift = -absl::Hours(1);  // stamped in the future: by another clock
  EXPECT_EQ(Read(ReadCause::kSettled).result, Reading::kGeneration);
}

TEST_F(SnapshotReaderTest, PolledSourceIsNotTrustedToHaveSettled) {
  WriteFile(Path("s/a"), "1");
  Configure("s");
  ReadRequest request = Request(ReadCause::kSettled);
  request.polled_because = "the limit is reached";
  EXPECT_EQ(reader_->Read(request).result, Reading::kUnsettled);
}

TEST_F(SnapshotReaderTest, SourceThatNobodyWatchesIsReadWhereverItLeads) {
  WriteFile(Path("one/a"), "1");
  WriteFile(Path("two/a"), "2");
  MakeLink("one", Path("s"));
  clock_.shift = absl::Seconds(1);
  Configure("s");
  ReadRequest request = Request(ReadCause::kRecheck);
  request.route.reset();
  EXPECT_THAT(Contents(reader_->Read(request)), ElementsAre("a=1"));
  SwapLink("two", Path("s"));
  clock_.shift = absl::Seconds(2);
  EXPECT_THAT(Contents(reader_->Read(request)), ElementsAre("a=2"));
}

TEST_F(SnapshotReaderTest, VolumeThatNobodyWatchesStaysAVolume) {
  KubeletVolume volume(Path("s"));
  volume.Swap({{"a", "1"}});
  Configure("s");
  ReadRequest request = Request(ReadCause::kRecheck);
  request.route.reset();
  EXPECT_EQ(reader_->Read(request).result, Reading::kGeneration);
  std::filesystem::remove(Path("s/..data"));
  EXPECT_EQ(reader_->Read(request).result, Reading::kMissing);
}

TEST_F(SnapshotReaderTest, PolledFilesStampedInTheFutureAreTrustedOnceTheyStayedTheSame) {
  WriteFile(Path("s/a"), "1");
  config_.settle = absl::Milliseconds(20);
  Configure("s");
  clock_.shift = -absl::Hours(1);  // the server of the files is an hour ahead
  ReadRequest request = Request(ReadCause::kRecheck);
  request.polled_because = "network";
  const Instant begin = clock_.Now();
  EXPECT_EQ(reader_->Read(request).result, Reading::kUnsettled);
  Reading reading;
  while (reading.result != Reading::kGeneration && clock_.Now() - begin < absl::Seconds(30)) {
    reading = reader_->Read(request);
  }
  EXPECT_EQ(reading.result, Reading::kGeneration);
  EXPECT_GE(clock_.Now() - begin, config_.settle);
  WriteFile(Path("s/a"), "2");
  EXPECT_EQ(reader_->Read(request).result, Reading::kUnsettled);
}

TEST_F(SnapshotReaderTest, ChangeDuringAReadingThatHungForLongIsGivenItsTimeToSettle) {
  WriteFile(Path("s/a"), "1");
  Configure("s");
  clock_.shift = clock_.since_boot_shift = -absl::Seconds(10);
  bool hung = false;
  file_system_.before = [&](HookedFileSystem::Call, const std::string&) {
    if (!std::exchange(hung, true)) {
      clock_.shift = clock_.since_boot_shift = absl::ZeroDuration();
      WriteFile(Path("s/a"), "");  // and now it will be written
    }
    return absl::OkStatus();
  };
  ReadRequest request = Request(ReadCause::kRecheck);
  request.polled_because = "network";
  EXPECT_EQ(reader_->Read(request).result, Reading::kUnsettled);
  EXPECT_EQ(reader_->Read(request).result, Reading::kUnsettled);
}

TEST_F(SnapshotReaderTest, DeletedMountIsDetachedAndAHopThatWasJustReplacedNeedsNoLook) {
  KubeletVolume volume(Path("s"));
  volume.Swap({{"a", "1"}});
  Configure("s");
  const ReadRequest request = Request(ReadCause::kCommit);
  const std::string id = std::to_string(*real_.MountId(request.route->target_fd->get()));
  file_system_.mounts =
      MountTable::Parse(id + " 1 0:1 /v//deleted " + Path("s") + " rw - tmpfs tmpfs rw\n");
  const Reading reading = Read(ReadCause::kRecheck);
  EXPECT_EQ(reading.result, Reading::kDetached);
  EXPECT_THAT(std::string(reading.status.message()), HasSubstr(Path("s")));
  EXPECT_EQ(Read(ReadCause::kCommit).result, Reading::kGeneration);
}

TEST_F(SnapshotReaderTest, UnreadableFileFailsAndNamesIt) {
  WriteFile(Path("s/a"), "1");
  std::filesystem::permissions(Path("s/a"), std::filesystem::perms::none);
  Configure("s");
  const Reading reading = Read(ReadCause::kSettled);  // not as root
  EXPECT_EQ(reading.result, Reading::kFailed);
  EXPECT_THAT(std::string(reading.status.message()), HasSubstr("a: "));
}

TEST_F(SnapshotReaderTest, MissingSourceSaysWhereItsPathEnds) {
  Configure("not/there");
  const Reading reading = Read(ReadCause::kSettled);
  EXPECT_EQ(reading.result, Reading::kMissing);
  EXPECT_THAT(std::string(reading.status.message()), HasSubstr(Path("not")));
}

TEST_F(SnapshotReaderTest, ErrorAtAnyCallIsAFailureAndNeverAGeneration) {
  WriteFile(Path("s/sub/a"), "1");
  WriteFile(Path("s/b"), "2");
  MakeLink("b", Path("s/c"));
  clock_.shift = absl::Seconds(1);
  Configure("s");
  const ReadRequest request = Request(ReadCause::kSettled);
  for (int failing = 0;; ++failing) {
    int call_number = 0;
    bool failed = false;
    file_system_.before = [&](HookedFileSystem::Call call, const std::string&) {
      // Nobody need know the mounts to read files.
      if (call == HookedFileSystem::kMounts || call == HookedFileSystem::kMountId) {
        return absl::OkStatus();
      }
      if (call_number++ != failing) return absl::OkStatus();
      failed = true;
      return absl::Status(absl::StatusCode::kUnknown, "input/output error");
    };
    reader_ = std::make_unique<SnapshotReader>(&clock_, &file_system_, config_);
    const Reading reading = reader_->Read(request);
    if (!failed) {
      EXPECT_EQ(reading.result, Reading::kGeneration);
      EXPECT_GT(failing, 30);
      break;
    }
    EXPECT_NE(reading.result, Reading::kGeneration) << "error at call " << failing;
  }
}

TEST_F(SnapshotReaderTest, TreeOfMoreFilesThanMayBeOpenIsReadWhole) {
  for (size_t i = 0; i < SnapshotReader::kMaxOpenFiles + 10; ++i) {
    WriteFile(Path(absl::StrCat("s/f", i)), "x");
  }
  clock_.shift = absl::Seconds(1);
  Configure("s");
  const Reading reading = Read(ReadCause::kSettled);
  EXPECT_EQ(reading.result, Reading::kGeneration);
  EXPECT_EQ(reading.generation.files.size(), SnapshotReader::kMaxOpenFiles + 10);
}

// failure-cases.md, 30: two files carrying the same number, a swap as fast as it goes.
TEST_F(SnapshotReaderTest, ReadingDuringSwapsIsNeverTorn) {
  KubeletVolume volume(Path("v"));
  volume.Swap({{"a", "0"}, {"b", "0"}});
  Configure("v");
  std::thread writer([&volume] {
    for (int i = 1; i <= 2000; ++i) {
      volume.Swap({{"a", std::to_string(i)}, {"b", std::to_string(i)}});
    }
  });
  int generations = 0;
  std::string last;
  while (last != "2000") {
    const Reading reading = Read(ReadCause::kCommit);
    if (reading.result != Reading::kGeneration) continue;
    ASSERT_EQ(reading.generation.files.size(), 2u);
    ASSERT_EQ(reading.generation.files[0].content->bytes,
              reading.generation.files[1].content->bytes);
    last = reading.generation.files[0].content->bytes;
    ++generations;
  }
  writer.join();
  EXPECT_GT(generations, 1);
}

}  // namespace
}  // namespace confstream
