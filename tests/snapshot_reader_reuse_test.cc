// What a reading takes over from the one before.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <filesystem>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/fakes/kubelet_volume.h"
#include "tests/snapshot_reader_fixture.h"

namespace confstream {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

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

}  // namespace
}  // namespace confstream
