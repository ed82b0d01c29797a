// History on disks that are full, damaged, read-only, or of somebody else.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "server/history/history_database.h"
#include "server/history/sqlite_database.h"
#include "tests/fakes/failing_sqlite_disk.h"
#include "tests/fakes/files.h"
#include "tests/history_fixture.h"

namespace confstream {
namespace {

TEST_F(HistoryTest, DamagedFileIsSetAsideAndANewHistoryIsBegun) {
  std::string epoch;
  {
    const auto history = Open();
    const auto store = history->Source(Config());
    epoch = store->epoch();
    Append(store.get(), {{"a", "1"}});
  }
  WriteFile(directory_.Path("state/history.db"), std::string(50000, '?'));
  const auto history = Open();
  const auto store = history->Source(Config());
  EXPECT_NE(store->epoch(), epoch);
  Append(store.get(), {{"a", "1"}});
  EXPECT_TRUE(store->AwaitRecorded(kPatience));
  ASSERT_EQ(FilesLike("corrupt").size(), 1u);
  EXPECT_EQ(ReadFile(directory_.Path("state/" + FilesLike("corrupt")[0])), std::string(50000, '?'));
  EXPECT_TRUE(absl::StrContains(log_text_->str(), "set aside"));
}

TEST_F(HistoryTest, ContentThatRottedOnTheDiskIsDamageToo) {
  {
    const auto history = Open();
    Append(history->Source(Config()).get(), {{"a", "a needle to be found"}});
    Append(history->Source(Config("other")).get(), {{"a", "1"}});
  }
  const std::string path = directory_.Path("state/history.db");
  std::string bytes = ReadFile(path);
  const size_t at = bytes.find("a needle to be found");
  ASSERT_NE(at, std::string::npos);
  bytes[at] = 'A';
  WriteFile(path, bytes);
  const auto history = Open();
  const auto store = history->Source(Config());
  EXPECT_EQ(store->latest(), nullptr);
  EXPECT_EQ(FilesLike("corrupt").size(), 1u);
  EXPECT_EQ(FilesOf(*history->Source(Config("other"))->latest()), (Files{{"a", "1"}}));
  Append(store.get(), {{"a", "1"}});
  EXPECT_TRUE(store->AwaitRecorded(kPatience));
}

TEST_F(HistoryTest, DatabaseOfAnotherProgramIsLeftAloneAndSaid) {
  std::filesystem::create_directory(directory_.Path("state"));
  {
    auto other = *SqliteDatabase::Open(directory_.Path("state/history.db"), false);
    ASSERT_TRUE(other->Execute("CREATE TABLE recipes (name TEXT)").ok());
  }
  const std::string before = ReadFile(directory_.Path("state/history.db"));
  RecordingObserver observer;
  const auto history = Open();
  history->SetObserver(&observer);
  const auto store = history->Source(Config());
  Append(store.get(), {{"a", "1"}});
  ASSERT_TRUE(observer.Await(1));
  EXPECT_EQ(store->status().state, HistoryStatus::kFailing);
  EXPECT_TRUE(absl::StrContains(store->status().problem, "another program"));
  EXPECT_TRUE(absl::StrContains(store->status().problem, "state_dir"));
  history->Close();
  EXPECT_EQ(ReadFile(directory_.Path("state/history.db")), before);
}

TEST_F(HistoryTest, DatabaseOfANewerConfstreamIsLeftAlone) {
  { Open()->Source(Config()); }
  {
    auto database = *SqliteDatabase::Open(directory_.Path("state/history.db"), false);
    ASSERT_TRUE(database->Execute("PRAGMA user_version = 99").ok());
  }
  RecordingObserver observer;
  const auto history = Open();
  history->SetObserver(&observer);
  const auto store = history->Source(Config());
  Append(store.get(), {{"a", "1"}});
  ASSERT_TRUE(observer.Await(1));
  EXPECT_TRUE(absl::StrContains(store->status().problem, "newer"));
}

TEST_F(HistoryTest, DirectoryThatCannotBeWrittenIsSaidAndRecordedOnceItCan) {
  if (geteuid() == 0) GTEST_SKIP() << "root may write everywhere; ./dev test runs this as nobody";
  std::filesystem::create_directory(directory_.Path("state"));
  std::filesystem::permissions(directory_.Path("state"), std::filesystem::perms(0500));
  RecordingObserver observer;
  const auto history = Open();
  history->SetObserver(&observer);
  const auto store = history->Source(Config());
  const auto published = Append(store.get(), {{"a", "1"}});
  ASSERT_TRUE(observer.Await(1));
  EXPECT_EQ(store->status().state, HistoryStatus::kFailing);
  EXPECT_TRUE(absl::StrContains(store->status().problem, directory_.Path("state")));
  EXPECT_FALSE(store->AwaitRecorded(kPatience)) << "at once";
  std::filesystem::permissions(directory_.Path("state"), std::filesystem::perms(0700));
  ASSERT_TRUE(observer.Await(2));
  EXPECT_EQ(store->status().state, HistoryStatus::kRecorded);
  EXPECT_EQ(store->epoch(), published->epoch);
  history->Close();
  const auto again = Open();
  EXPECT_EQ(FilesOf(*again->Source(Config())->latest()), FilesOf(*published));
}

TEST_F(HistoryTest, HistoryThatCanOnlyBeReadIsServedInAnEpochOfItsOwn) {
  if (geteuid() == 0) GTEST_SKIP() << "root may write everywhere; ./dev test runs this as nobody";
  std::string epoch;
  {
    const auto history = Open();
    const auto store = history->Source(Config());
    epoch = Append(store.get(), {{"a", "1"}})->epoch;
  }
  for (const char* name : {"history.db", "lock", ""}) {
    const std::string path = directory_.Path(absl::StrCat("state/", name));
    std::filesystem::permissions(path, std::filesystem::perms(*name == 0 ? 0500 : 0400));
  }
  {
    const auto history = Open();
    const auto store = history->Source(Config());
    ASSERT_NE(store->latest(), nullptr);
    EXPECT_EQ(FilesOf(*store->latest()), (Files{{"a", "1"}}));
    EXPECT_NE(store->epoch(), epoch);
    EXPECT_NE(Append(store.get(), {{"a", "2"}})->epoch, epoch);
  }
  std::filesystem::permissions(directory_.Path("state"), std::filesystem::perms(0700));
}

TEST_F(HistoryTest, HistoryThatCanOnlyBeReadIsServedWithWhatIsStillInItsLog) {
  if (geteuid() == 0) GTEST_SKIP() << "root may write everywhere; ./dev test runs this as nobody";
  {
    const auto history = Open();
    const auto store = history->Source(Config());
    Append(store.get(), {{"a", "1"}});
    ASSERT_TRUE(store->AwaitRecorded(kPatience));
    Append(store.get(), {{"a", "2"}});
    ASSERT_TRUE(store->AwaitRecorded(kPatience));
    CopyAsIfKilled("left");
  }
  ASSERT_GT(std::filesystem::file_size(directory_.Path("left/history.db-wal")), 0u);
  const auto restrict_to = [this](unsigned log, unsigned directory) {
    std::filesystem::permissions(directory_.Path("left"), std::filesystem::perms(0700));
    std::filesystem::permissions(directory_.Path("left/history.db"), std::filesystem::perms(0400));
    std::filesystem::permissions(directory_.Path("left/history.db-wal"),
                                 std::filesystem::perms(log));
    std::filesystem::permissions(directory_.Path("left"), std::filesystem::perms(directory));
  };
  restrict_to(0400, 0500);
  {
    const auto history = Open("left");
    const auto store = history->Source(Config());
    ASSERT_NE(store->latest(), nullptr);
    EXPECT_EQ(FilesOf(*store->latest()), (Files{{"a", "2"}}));
  }
  restrict_to(0, 0500);
  {
    const auto history = Open("left");
    EXPECT_EQ(history->Source(Config())->latest(), nullptr) << "what is newest is not known";
    EXPECT_NE(log_text_->str().find("let this user read both"), std::string::npos);
  }
  std::filesystem::permissions(directory_.Path("left"), std::filesystem::perms(0700));
}

TEST_F(HistoryTest, HistoryThatCouldOnlyBeReadAtFirstIsRecordedWholeOnceItCanBe) {
  if (geteuid() == 0) GTEST_SKIP() << "root may write everywhere; ./dev test runs this as nobody";
  {
    const auto history = Open();
    Append(history->Source(Config()).get(), {{"a", "1"}, {"b", "1"}});
  }
  const std::vector<std::string> paths = {directory_.Path("state/history.db"),
                                          directory_.Path("state/lock"), directory_.Path("state")};
  for (const auto& path : paths) {
    std::filesystem::permissions(path, std::filesystem::perms(0500));
  }
  {
    RecordingObserver observer;
    const auto history = Open();
    history->SetObserver(&observer);
    const auto store = history->Source(Config());
    Append(store.get(), {{"a", "2"}, {"b", "1"}});
    ASSERT_TRUE(observer.Await(1));
    for (auto path = paths.rbegin(); path != paths.rend(); ++path) {
      std::filesystem::permissions(*path, std::filesystem::perms(0700));
    }
    ASSERT_TRUE(observer.Await(2));
    EXPECT_TRUE(store->AwaitRecorded(kPatience));
  }
  EXPECT_EQ(FilesLike("superseded").size(), 1u) << "what could not be written is not lost either";
  const auto history = Open();
  EXPECT_EQ(FilesOf(*history->Source(Config())->latest()), (Files{{"a", "2"}, {"b", "1"}}));
}

TEST_F(HistoryTest, StartOnAFullDiskServesTheHistoryAndRecordsInItOnceThereIsRoom) {
  std::shared_ptr<const Snapshot> first, last;
  const Pin pin{1, absl::FromUnixSeconds(5), absl::FromUnixSeconds(99), "why", {}, {}};
  {
    const auto history = Open();
    const auto store = history->Source(Config());
    first = Append(store.get(), {{"a", "1"}, {"b", "1"}});
    last = Append(store.get(), {{"a", "2"}, {"b", "1"}});
    store->SetPin(pin);
    history->Close();
  }
  {
    RecordingObserver observer;
    auto full = std::make_unique<FullDisk>();
    const auto history = Open();
    history->SetObserver(&observer);
    const auto store = history->Source(Config());
    ASSERT_NE(store->latest(), nullptr);
    EXPECT_EQ(FilesOf(*store->latest()), FilesOf(*last));
    EXPECT_EQ(store->latest()->version, last->version);
    EXPECT_EQ(store->latest()->epoch, last->epoch);
    EXPECT_EQ(FilesOf(*store->Find(1)), FilesOf(*first));
    EXPECT_EQ(store->pin(), pin);
    ASSERT_TRUE(observer.Await(1));
    EXPECT_EQ(store->status().state, HistoryStatus::kFailing);
    EXPECT_TRUE(
        absl::StrContains(store->status().problem, "make room in " + directory_.Path("state")))
        << store->status().problem;
    full.reset();
    ASSERT_TRUE(observer.Await(2));
    EXPECT_EQ(store->status().state, HistoryStatus::kRecorded);
    const auto next = Append(store.get(), {{"a", "3"}, {"b", "1"}});
    EXPECT_EQ(next->version, last->version + 1);
    EXPECT_EQ(next->epoch, last->epoch);
  }
  EXPECT_TRUE(FilesLike("superseded").empty());
  const auto history = Open();
  const auto store = history->Source(Config());
  EXPECT_EQ(store->epoch(), last->epoch);
  EXPECT_EQ(FilesOf(*store->latest()), (Files{{"a", "3"}, {"b", "1"}}));
  EXPECT_EQ(FilesOf(*store->Find(1)), FilesOf(*first));
  EXPECT_EQ(store->pin(), pin);
}

TEST_F(HistoryTest, EveryStartOnAFullDiskAfterAKillGivesTheRestoredContentTheSameNumber) {
  std::shared_ptr<const Snapshot> last;
  {
    const auto history = Open();
    const auto store = history->Source(Config());
    last = Append(store.get(), {{"a", "1"}});
    ASSERT_TRUE(store->AwaitRecorded(kPatience));
    CopyAsIfKilled("killed");
  }
  const auto expect_restored = [&](const SnapshotStore& store) {
    ASSERT_NE(store.latest(), nullptr);
    EXPECT_EQ(FilesOf(*store.latest()), FilesOf(*last));
    EXPECT_EQ(store.latest()->epoch, last->epoch);
    EXPECT_EQ(store.latest()->version, SnapshotStore::kReserve + 1);
  };
  for (int start = 0; start < 2; ++start) {
    const FullDisk full;
    const auto history = Open("killed");
    expect_restored(*history->Source(Config()));
  }
  std::filesystem::copy(directory_.Path("killed"), directory_.Path("sensitive"));
  {
    const auto history = Open("killed");
    const auto store = history->Source(Config());
    expect_restored(*store);
    const auto next = Append(store.get(), {{"a", "2"}});
    EXPECT_EQ(next->epoch, last->epoch);
    EXPECT_EQ(next->version, SnapshotStore::kReserve + 2);
  }
  // Nothing is restored, but others may have done it.
  const auto history = Open("sensitive");
  const auto next = Append(history->Source(Config("app", true)).get(), {{"a", "2"}});
  EXPECT_EQ(next->epoch, last->epoch);
  EXPECT_EQ(next->version, SnapshotStore::kReserve + 2);
}

TEST_F(HistoryTest, WhatIsPublishedAfterAStartOnAFullDiskHasAFreshEpochAndIsRecordedWithTheRest) {
  std::string epoch;
  {
    const auto history = Open();
    const auto store = history->Source(Config());
    epoch = Append(store.get(), {{"a", "1"}})->epoch;
    history->Source(Config("other"))->SetPin(Pin{1, {}, absl::InfiniteFuture(), "why", {}, {}});
  }
  std::shared_ptr<const Snapshot> next;
  {
    RecordingObserver observer;
    auto full = std::make_unique<FullDisk>();
    const auto history = Open();
    history->SetObserver(&observer);
    const auto store = history->Source(Config());
    next = Append(store.get(), {{"a", "2"}});
    EXPECT_NE(next->epoch, epoch) << "another process would not know that its number was used";
    EXPECT_EQ(next->version, 2);
    ASSERT_TRUE(observer.Await(1));
    full.reset();
    ASSERT_TRUE(observer.Await(2));
    EXPECT_TRUE(store->AwaitRecorded(kPatience));
  }
  EXPECT_TRUE(FilesLike("superseded").empty());
  const auto history = Open();
  const auto store = history->Source(Config());
  EXPECT_EQ(store->latest()->epoch, next->epoch);
  EXPECT_EQ(FilesOf(*store->latest()), FilesOf(*next));
  ASSERT_NE(store->Find(1), nullptr);
  EXPECT_EQ(store->Find(1)->epoch, epoch);
  EXPECT_TRUE(history->Source(Config("other"))->pin().has_value())
      << "a source not served meanwhile";
}

TEST_F(HistoryTest, DatabaseThatCouldOnlyBeReadAtFirstGoesOnOnceItCanBeWritten) {
  if (geteuid() == 0) GTEST_SKIP() << "root may write everywhere; ./dev test runs this as nobody";
  std::shared_ptr<const Snapshot> last;
  {
    const auto history = Open();
    last = Append(history->Source(Config()).get(), {{"a", "1"}});
  }
  std::filesystem::permissions(directory_.Path("state/history.db"), std::filesystem::perms(0400));
  {
    RecordingObserver observer;
    const auto history = Open();
    history->SetObserver(&observer);
    const auto store = history->Source(Config());
    ASSERT_NE(store->latest(), nullptr);
    EXPECT_EQ(store->latest()->version, last->version);
    EXPECT_EQ(store->epoch(), last->epoch) << "nobody else has the lock";
    ASSERT_TRUE(observer.Await(1));
    std::filesystem::permissions(directory_.Path("state/history.db"), std::filesystem::perms(0600));
    ASSERT_TRUE(observer.Await(2));
    EXPECT_EQ(Append(store.get(), {{"a", "2"}})->epoch, last->epoch);
  }
  EXPECT_TRUE(FilesLike("superseded").empty());
  const auto history = Open();
  EXPECT_EQ(FilesOf(*history->Source(Config())->latest()), (Files{{"a", "2"}}));
  EXPECT_NE(history->Source(Config())->Find(1), nullptr);
}

TEST_F(HistoryTest, DatabaseThatIsRemovedUnderTheServerIsWrittenAnew) {
  {
    const auto history = Open();
    const auto store = history->Source(Config());
    Append(store.get(), {{"a", "1"}, {"b", "1"}});
    ASSERT_TRUE(store->AwaitRecorded(kPatience));
    std::filesystem::remove(directory_.Path("state/history.db"));
    std::filesystem::remove(directory_.Path("state/history.db-wal"));
    Append(store.get(), {{"a", "2"}, {"b", "1"}});
    EXPECT_TRUE(store->AwaitRecorded(kPatience));
  }
  EXPECT_TRUE(FilesLike("superseded").empty());
  const auto history = Open();
  const auto store = history->Source(Config());
  EXPECT_EQ(FilesOf(*store->latest()), (Files{{"a", "2"}, {"b", "1"}}));
  EXPECT_EQ(FilesOf(*store->Find(1)), (Files{{"a", "1"}, {"b", "1"}}));
}

TEST_F(HistoryTest, SourceThatCannotBeReadForAMomentIsSetAsideAndNotWrittenOver) {
  FailingSqliteDisk disk;
  const std::string large(200'000, '2');  // on pages of its own
  {
    const auto history = Open();
    Append(history->Source(Config("first")).get(), {{"a", "first"}});
    Append(history->Source(Config("second")).get(), {{"a", large}});
    Append(history->Source(Config("third")).get(), {{"a", "third"}});
  }
  {
    const auto history = Open();
    const auto first = history->Source(Config("first"));
    disk.FailReads(true);
    const auto second = history->Source(Config("second"));
    EXPECT_EQ(second->latest(), nullptr);
    EXPECT_TRUE(absl::StrContains(log_text_->str(), "history cannot be read")) << log_text_->str();
    disk.FailReads(false);
    const auto third = history->Source(Config("third"));
    ASSERT_NE(third->latest(), nullptr) << "the others lose nothing";
    Append(second.get(), {{"a", "newer"}});
    const absl::Time deadline = absl::Now() + kPatience;
    for (const auto& store : {first, second, third}) {
      // False as long as the disk is known to fail.
      while (!store->AwaitRecorded(kPatience) && absl::Now() < deadline) std::this_thread::yield();
      EXPECT_EQ(store->status().state, HistoryStatus::kRecorded);
    }
  }
  const std::vector<std::string> aside = FilesLike("unreadable");
  ASSERT_EQ(aside.size(), 1u) << "its log is written into it";
  const auto history = Open();
  EXPECT_EQ(FilesOf(*history->Source(Config("first"))->latest()), (Files{{"a", "first"}}));
  EXPECT_EQ(FilesOf(*history->Source(Config("second"))->latest()), (Files{{"a", "newer"}}));
  EXPECT_EQ(FilesOf(*history->Source(Config("third"))->latest()), (Files{{"a", "third"}}));
  auto old = *HistoryDatabase::Open(directory_.Path("state/" + aside[0]), true);
  EXPECT_EQ((*old->Load("second")).versions.size(), 1u);
}

TEST_F(HistoryTest, NewestVersionWhoseFilesAreNotThereIsDamage) {
  {
    const auto history = Open();
    Append(history->Source(Config()).get(), {{"a", "1"}, {"b", "1"}});
  }
  {
    auto database = *SqliteDatabase::Open(directory_.Path("state/history.db"), false);
    ASSERT_TRUE(database->Execute("DELETE FROM files WHERE path = CAST('b' AS BLOB)").ok());
  }
  const auto history = Open();
  EXPECT_EQ(history->Source(Config())->latest(), nullptr);
  EXPECT_EQ(FilesLike("corrupt").size(), 1u);
}

}  // namespace
}  // namespace confstream
