#include "server/snapshot/snapshot_reader.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/fakes/files.h"
#include "tests/fakes/hooked_file_system.h"
#include "tests/fakes/kubelet_volume.h"
#include "tests/fakes/temporary_directory.h"

namespace confstream {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

// The machine's clock with the wall clock shifted, to make files older than they are.
class ShiftedClock final : public Clock {
 public:
  absl::Time WallNow() const override { return absl::Now() + shift; }
  Instant Now() const override { return SystemClock().Now() + since_boot_shift; }
  absl::Duration shift = absl::ZeroDuration();
  absl::Duration since_boot_shift = absl::ZeroDuration();
};

class SnapshotReaderTest : public testing::Test {
 protected:
  std::string Path(const std::string& relative) { return directory_.Path(relative); }

  void Configure(const std::string& relative) {
    config_.name = "s";
    config_.path = Path(relative);
    reader_ = std::make_unique<SnapshotReader>(&clock_, &file_system_, config_);
  }

  ReadRequest Request(ReadCause cause) {
    ReadRequest request;
    request.source = "s";
    request.cause = cause;
    request.route = LinkResolver(&real_).ResolveSource(config_.path, false);
    if (const Hop* data = FindDataHop(*request.route); data && cause == ReadCause::kCommit) {
      request.commit = HopName{data->directory, data->name};
    }
    return request;
  }

  Reading Read(ReadCause cause) { return reader_->Read(Request(cause)); }

  static std::vector<std::string> Contents(const Reading& reading) {
    std::vector<std::string> contents;
    for (const GenerationFile& file : reading.generation.files) {
      contents.push_back(absl::StrCat(file.path, "=", file.content->bytes));
    }
    return contents;
  }

  // How many files' bytes are read by the next readings, how often the tree is looked at that has
  // f0, and how often directories are listed for it.
  void CountReads() {
    file_system_.before = [this](HookedFileSystem::Call call, const std::string& entry) {
      if (call == HookedFileSystem::kOpenForReading) ++reads_;
      if (call == HookedFileSystem::kStatEntry && entry == "f0") ++looks_;
      if (call == HookedFileSystem::kList) ++lists_;
      return absl::OkStatus();
    };
  }

  // Ten old files in one directory, f0 to f9, which have been read; the next readings are counted.
  void ReadTenFiles() {
    for (int i = 0; i < 10; ++i) WriteFile(Path(absl::StrCat("s/f", i)), "x");
    clock_.shift = absl::Seconds(10);
    Configure("s");
    EXPECT_EQ(Read(ReadCause::kSettled).result, Reading::kGeneration);
    CountReads();
  }

  // Reads once events have named these files.
  Reading ReadNamed(const std::vector<std::string>& paths) {
    ReadRequest request = Request(ReadCause::kSettled);
    for (const std::string& path : paths) request.touched.Add(path);
    return reader_->Read(request);
  }

  // Something happens before the first call of this kind, for the entry `name` if it has one; calls
  // are counted no more, but for looks.
  void Before(HookedFileSystem::Call wanted, const std::string& name,
              const std::function<void()>& what_happens) {
    file_system_.before = [this, wanted, name, what_happens, done = false](
                              HookedFileSystem::Call call, const std::string& entry) mutable {
      if (call == HookedFileSystem::kStatEntry && entry == "f0") ++looks_;
      if (call == wanted && entry == name && !std::exchange(done, true)) what_happens();
      return absl::OkStatus();
    };
  }

  TemporaryDirectory directory_;
  ShiftedClock clock_;
  PosixFileSystem real_;
  HookedFileSystem file_system_;
  SourceConfig config_;
  std::unique_ptr<SnapshotReader> reader_;
  int reads_ = 0;
  int looks_ = 0;
  int lists_ = 0;
};

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

TEST_F(SnapshotReaderTest, UnchangedOldFilesAreNotReadAgain) {
  for (int i = 0; i < 10; ++i) WriteFile(Path(absl::StrCat("s/f", i)), "x");
  clock_.shift = absl::Seconds(10);
  Configure("s");
  CountReads();
  Read(ReadCause::kSettled);
  EXPECT_EQ(reads_, 10);
  WriteFile(Path("s/f3"), "y");
  ReadRequest request = Request(ReadCause::kSettled);
  request.touched.Add("f3");
  const Reading reading = reader_->Read(request);
  EXPECT_EQ(reads_, 11);
  EXPECT_EQ(reading.generation.files[3].content->bytes, "y");
}

TEST_F(SnapshotReaderTest, FilesThatEventsNamedAreReadBeforeTheTreeIsLookedAtOnce) {
  ReadTenFiles();
  WriteFile(Path("s/f3"), "y");
  WriteFile(Path("s/f7"), "zz");
  const Reading reading = ReadNamed({"f3", "f7", "none"});
  ASSERT_EQ(reading.result, Reading::kGeneration);
  EXPECT_TRUE(reading.needs_quiet);
  EXPECT_EQ(reading.generation.files[3].content->bytes, "y");
  EXPECT_EQ(reading.generation.files[7].content->bytes, "zz");
  EXPECT_EQ(reads_, 2);
  EXPECT_EQ(looks_, 1);
}

TEST_F(SnapshotReaderTest, TreeThatIsAsItWasIsLookedAtOnce) {
  ReadTenFiles();
  EXPECT_EQ(Read(ReadCause::kRecheck).result, Reading::kGeneration);
  EXPECT_EQ(reads_, 0);
  EXPECT_EQ(looks_, 1);
  ReadRequest request = Request(ReadCause::kRecheck);
  request.reuse_nothing = true;
  EXPECT_EQ(reader_->Read(request).result, Reading::kGeneration);
  EXPECT_EQ(reads_, 10);
  EXPECT_EQ(looks_, 3);
}

TEST_F(SnapshotReaderTest, FileThatWasTooYoungIsReadAgainBeforeTheTreeIsLookedAtOnce) {
  ReadTenFiles();
  clock_.shift = absl::Seconds(1);
  WriteFile(Path("s/f5"), "y");
  EXPECT_EQ(ReadNamed({"f5"}).result, Reading::kGeneration);
  WriteFile(Path("s/f3"), "z");
  const Reading reading = ReadNamed({"f3"});
  ASSERT_EQ(reading.result, Reading::kGeneration);
  EXPECT_EQ(reading.generation.files[3].content->bytes, "z");
  EXPECT_EQ(reads_, 3);
  EXPECT_EQ(looks_, 2);
  clock_.shift = absl::Seconds(10);
  EXPECT_EQ(ReadNamed({}).result, Reading::kGeneration);
  EXPECT_EQ(reads_, 5);
  EXPECT_EQ(ReadNamed({}).result, Reading::kGeneration);
  EXPECT_EQ(reads_, 5);
}

TEST_F(SnapshotReaderTest, FileThatNoEventNamedIsFoundAndLookedAtTwice) {
  ReadTenFiles();
  WriteFile(Path("s/f3"), "y");
  Before(HookedFileSystem::kReadAt, "", [this] { WriteFile(Path("s/f5"), "unnamed"); });
  const Reading reading = ReadNamed({"f3"});
  ASSERT_EQ(reading.result, Reading::kGeneration);
  EXPECT_EQ(reading.generation.files[3].content->bytes, "y");
  EXPECT_EQ(reading.generation.files[5].content->bytes, "unnamed");
  EXPECT_EQ(looks_, 2);
}

TEST_F(SnapshotReaderTest, FileThatChangesAgainOnceItWasReadIsReadAgainAndLookedAtTwice) {
  ReadTenFiles();
  WriteFile(Path("s/f3"), "y");
  Before(HookedFileSystem::kStatEntry, "f3", [this] { WriteFile(Path("s/f3"), "newer"); });
  const Reading reading = ReadNamed({"f3"});
  ASSERT_EQ(reading.result, Reading::kGeneration);
  EXPECT_EQ(reading.generation.files[3].content->bytes, "newer");
  EXPECT_EQ(looks_, 2);
}

TEST_F(SnapshotReaderTest, FilesThatComeOrGoBesideTheNamedOneAreLookedForTwice) {
  ReadTenFiles();
  WriteFile(Path("s/f3"), "y");
  WriteFile(Path("s/new"), "n");
  EXPECT_EQ(ReadNamed({"f3", "new"}).generation.files.size(), 11u);
  EXPECT_EQ(looks_, 2);
  WriteFile(Path("s/f3"), "yy");
  Before(HookedFileSystem::kReadAt, "", [this] { std::filesystem::remove(Path("s/f5")); });
  const Reading reading = ReadNamed({"f3"});
  ASSERT_EQ(reading.result, Reading::kGeneration);
  EXPECT_EQ(reading.generation.files.size(), 10u);
  EXPECT_EQ(looks_, 4);
}

TEST_F(SnapshotReaderTest, NamedFileThatLeadsOutOfTheSourceByNowIsNotRead) {
  ReadTenFiles();
  WriteFile(Path("secret"), "s");
  MakeLink("../secret", Path("s/f3"));
  const Reading reading = ReadNamed({"f3"});
  EXPECT_EQ(reads_, 0);
  ASSERT_EQ(reading.violations.size(), 1u);
  EXPECT_EQ(reading.violations[0].rule, "link.confinement");
}

TEST_F(SnapshotReaderTest, NamedFileThatIsTooLargeByNowIsNotRead) {
  config_.limits.max_file_bytes = 10;
  ReadTenFiles();
  WriteFile(Path("s/f3"), std::string(11, 'x'));
  const Reading reading = ReadNamed({"f3"});
  EXPECT_EQ(reads_, 0);
  ASSERT_EQ(reading.violations.size(), 1u);
  EXPECT_EQ(reading.violations[0].rule, "limits.file_size");
}

TEST_F(SnapshotReaderTest, NamedFilesThatAreTooMuchTogetherAreReadNoFurtherThanTheLimit) {
  config_.limits.max_total_bytes = 100;
  ReadTenFiles();
  WriteFile(Path("s/f3"), std::string(60, 'x'));
  WriteFile(Path("s/f4"), std::string(60, 'x'));
  const Reading reading = ReadNamed({"f3", "f4"});
  EXPECT_EQ(reads_, 1);
  ASSERT_EQ(reading.violations.size(), 1u);
  EXPECT_EQ(reading.violations[0].rule, "limits.total_size");
}

// A reading that came to nothing leaves no trace: what it had read may have changed since.
TEST_F(SnapshotReaderTest, NamedFileIsReadAgainAfterAReadingThatFailed) {
  ReadTenFiles();
  WriteFile(Path("s/f3"), "y");
  file_system_.before = [](HookedFileSystem::Call call, const std::string&) {
    return call == HookedFileSystem::kStatEntry
               ? absl::ResourceExhaustedError("too many open files")
               : absl::OkStatus();
  };
  EXPECT_EQ(ReadNamed({"f3"}).result, Reading::kFailed);
  CountReads();
  const Reading reading = ReadNamed({});
  EXPECT_EQ(reading.generation.files[3].content->bytes, "y");
  EXPECT_EQ(reads_, 1);
}

TEST_F(SnapshotReaderTest, ErrorAtAnyCallWhileNamedFilesAreReadNeverMakesAWrongGeneration) {
  for (int i = 0; i < 3; ++i) WriteFile(Path(absl::StrCat("s/sub/f", i)), "x");
  clock_.shift = absl::Seconds(10);
  Configure("s");
  bool failed = true;
  int failing = 0;
  for (; failed; ++failing) {
    file_system_.before = [](HookedFileSystem::Call, const std::string&) {
      return absl::OkStatus();
    };
    ASSERT_EQ(Read(ReadCause::kForced).result, Reading::kGeneration);
    const std::string content = absl::StrCat("content ", failing);
    WriteFile(Path("s/sub/f1"), content);
    int call_number = 0;
    failed = false;
    file_system_.before = [&](HookedFileSystem::Call, const std::string&) {
      if (call_number++ != failing) return absl::OkStatus();
      failed = true;
      return absl::Status(absl::StatusCode::kUnknown, "input/output error");
    };
    const Reading reading = ReadNamed({"sub/f1"});
    if (reading.result != Reading::kGeneration) continue;
    EXPECT_THAT(Contents(reading), ElementsAre("sub/f0=x", "sub/f1=" + content, "sub/f2=x"))
        << "error at call " << failing;
  }
  EXPECT_GT(failing, 30);
}

TEST_F(SnapshotReaderTest, OnlyDirectoriesThatLookChangedAreListedAgain) {
  WriteFile(Path("s/a/f"), "x");
  WriteFile(Path("s/b/f"), "x");
  clock_.shift = absl::Seconds(10);
  Configure("s");
  Read(ReadCause::kSettled);
  CountReads();
  WriteFile(Path("s/b/f"), "y");
  EXPECT_THAT(Contents(ReadNamed({"b/f"})), ElementsAre("a/f=x", "b/f=y"));
  EXPECT_EQ(lists_, 0);
  WriteFile(Path("s/b/new"), "z");
  EXPECT_THAT(Contents(ReadNamed({"b/new"})), ElementsAre("a/f=x", "b/f=y", "b/new=z"));
  EXPECT_EQ(lists_, 2);  // once for each look
  std::filesystem::remove(Path("s/a/f"));
  WriteFile(Path("s/a/f/below"), "w");
  EXPECT_THAT(Contents(ReadNamed({})), ElementsAre("a/f/below=w", "b/f=y", "b/new=z"));
  EXPECT_EQ(lists_, 6);
  std::filesystem::rename(Path("s/a"), Path("s/c"));
  EXPECT_THAT(Contents(ReadNamed({})), ElementsAre("b/f=y", "b/new=z", "c/f/below=w"));
}

TEST_F(SnapshotReaderTest, DirectoryThatChangedJustBeforeItWasListedIsListedAgain) {
  WriteFile(Path("s/f0"), "x");
  clock_.shift = absl::Seconds(1);
  Configure("s");
  Read(ReadCause::kSettled);
  CountReads();
  Read(ReadCause::kSettled);
  EXPECT_EQ(looks_, 1);
  EXPECT_EQ(lists_, 1);
  clock_.shift = absl::Seconds(10);
  Read(ReadCause::kSettled);
  EXPECT_EQ(lists_, 2);
  Read(ReadCause::kSettled);
  EXPECT_EQ(lists_, 2);
}

TEST_F(SnapshotReaderTest, DirectoriesAreListedAgainWhereEventsDoNotTellOfEveryChange) {
  ReadTenFiles();
  ReadRequest request = Request(ReadCause::kRecheck);
  EXPECT_EQ(reader_->Read(request).result, Reading::kGeneration);
  EXPECT_EQ(lists_, 0);
  ReadRequest polled = request;
  polled.polled_because = "its directory may not be read";
  ReadRequest unwatched = request;
  unwatched.route.reset();
  ReadRequest anew = request;
  anew.reuse_nothing = true;
  ReadRequest lost = request;
  lost.touched.AddAll();
  for (const ReadRequest& wary : {polled, unwatched, anew, lost}) {
    lists_ = 0;
    EXPECT_EQ(reader_->Read(wary).result, Reading::kGeneration);
    EXPECT_GT(lists_, 0);
    lists_ = 0;
    EXPECT_EQ(reader_->Read(request).result, Reading::kGeneration);
    EXPECT_EQ(lists_, 0);
  }
}

TEST_F(SnapshotReaderTest, MoreNamesThanTwiceAsManyAsFilesMayBeAreNotRemembered) {
  config_.exclude = {*PathGlob::Parse("left-out-*")};
  config_.limits.max_files = 10;
  for (int i = 0; i < 10; ++i) WriteFile(Path(absl::StrCat("s/left-out-", i)), "x");
  ReadTenFiles();
  Read(ReadCause::kRecheck);
  EXPECT_EQ(lists_, 0);
  WriteFile(Path("s/left-out-too"), "x");
  Read(ReadCause::kRecheck);
  lists_ = 0;
  EXPECT_EQ(Read(ReadCause::kRecheck).generation.files.size(), 10u);
  EXPECT_EQ(lists_, 1);
}

TEST_F(SnapshotReaderTest, FileAddedToAKnownDirectoryWhileItIsLookedAtIsNotMissed) {
  // When the path has been resolved; once the directory was found as it was; after the look.
  for (const auto& [call, name] : std::vector<std::pair<HookedFileSystem::Call, std::string>>{
           {HookedFileSystem::kMounts, ""},
           {HookedFileSystem::kStatEntry, "f0"},
           {HookedFileSystem::kOpenForReading, ""}}) {
    for (const ReadCause cause : {ReadCause::kSettled, ReadCause::kForced}) {
      std::filesystem::remove_all(Path("s"));
      ReadTenFiles();
      WriteFile(Path("s/f3"), "y");
      Before(call, name, [this] { WriteFile(Path("s/new"), "n"); });
      const Reading reading = Read(cause);
      if (cause == ReadCause::kSettled && reading.result == Reading::kUnsettled) continue;
      ASSERT_EQ(reading.result, Reading::kGeneration);
      EXPECT_EQ(reading.generation.files.size(), 11u) << "before call " << call;
    }
  }
}

// As many as are looked at by several threads.
TEST_F(SnapshotReaderTest, LargeTreeIsLookedAtByThreadsAndFoundWhole) {
  constexpr int kFiles = 2100;
  for (int i = 0; i < kFiles; ++i) {
    WriteFile(Path(absl::StrCat("s/", i % 3, "/f", absl::Dec(i, absl::kZeroPad4))),
              absl::StrCat(i));
  }
  clock_.shift = absl::Seconds(10);
  Configure("s");
  std::mutex mu;
  std::set<std::thread::id> threads;
  file_system_.before = [&](HookedFileSystem::Call call, const std::string& entry) {
    if (call != HookedFileSystem::kStatEntry || entry.size() != 5) return absl::OkStatus();
    const std::lock_guard<std::mutex> lock(mu);
    threads.insert(std::this_thread::get_id());
    return absl::OkStatus();
  };
  ASSERT_EQ(Read(ReadCause::kSettled).result, Reading::kGeneration);
  EXPECT_EQ(threads.size() > 1, std::thread::hardware_concurrency() > 1);
  WriteFile(Path("s/2/f2090"), "changed");
  const Reading reading = ReadNamed({"2/f2090"});
  ASSERT_EQ(reading.result, Reading::kGeneration);
  ASSERT_EQ(reading.generation.files.size(), static_cast<size_t>(kFiles));
  for (int at = 0; at < kFiles; ++at) {
    const int i = at % (kFiles / 3) * 3 + at / (kFiles / 3);
    const GenerationFile& file = reading.generation.files[at];
    EXPECT_EQ(file.path, absl::StrCat(i % 3, "/f", absl::Dec(i, absl::kZeroPad4)));
    EXPECT_EQ(file.content->bytes, i == 2090 ? "changed" : absl::StrCat(i));
  }
  // One that the last thread looks at.
  file_system_.before = [](HookedFileSystem::Call call, const std::string& entry) {
    return call == HookedFileSystem::kStatEntry && entry == "f2099"
               ? absl::Status(absl::StatusCode::kUnknown, "input/output error")
               : absl::OkStatus();
  };
  const Reading failed = ReadNamed({});
  EXPECT_EQ(failed.result, Reading::kFailed);
  EXPECT_THAT(std::string(failed.status.message()), HasSubstr("2/f2099: input/output error"));
}

TEST_F(SnapshotReaderTest, FreshFileIsReadAgainEvenIfItsStampsAreTheSame) {
  WriteFile(Path("s/a"), "x");
  Configure("s");
  CountReads();
  Read(ReadCause::kSettled);
  Read(ReadCause::kSettled);
  EXPECT_EQ(reads_, 2);
}

TEST_F(SnapshotReaderTest, SecondStoreThroughMmapIsFoundWhenNothingIsReused) {
  WriteFile(Path("s/a"), "first");
  const int fd = open(Path("s/a").c_str(), O_RDWR | O_CLOEXEC);
  char* bytes = static_cast<char*>(mmap(nullptr, 5, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
  ASSERT_NE(bytes, MAP_FAILED);
  bytes[0] = 'F';  // the first store stamps the file
  clock_.shift = absl::Seconds(10);
  Configure("s");
  EXPECT_THAT(Contents(Read(ReadCause::kSettled)), ElementsAre("a=First"));
  bytes[1] = 'I';  // the second changes no stamp
  ReadRequest request = Request(ReadCause::kRecheck);
  request.reuse_nothing = true;
  EXPECT_THAT(Contents(reader_->Read(request)), ElementsAre("a=FIrst"));
  munmap(bytes, 5);
  close(fd);
}

TEST_F(SnapshotReaderTest, NewGenerationSharesTheContentThatDidNotChange) {
  KubeletVolume volume(Path("v"));
  volume.Swap({{"a", "same"}, {"b", "1"}});
  Configure("v");
  const Reading first = Read(ReadCause::kCommit);
  volume.Swap({{"a", "same"}, {"b", "2"}});
  ReadRequest request = Request(ReadCause::kCommit);
  request.touched.AddAll();
  const Reading second = reader_->Read(request);
  EXPECT_EQ(first.generation.files[0].content, second.generation.files[0].content);
  EXPECT_NE(first.generation.files[1].content, second.generation.files[1].content);
}

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
