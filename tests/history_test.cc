#include "server/history/history.h"

#include <gtest/gtest.h>
#include <spdlog/sinks/ostream_sink.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <random>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tests/fakes/failing_sqlite_disk.h"
#include "tests/fakes/files.h"
#include "tests/fakes/snapshots.h"
#include "tests/fakes/temporary_directory.h"

namespace confstream {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(30);

class RecordingObserver final : public HistoryObserver {
 public:
  void HistoryChanged(const std::string& source) override {
    MutexLock lock(&mu_);
    told_.push_back(source);
    changed_.NotifyAll();
  }
  bool Await(size_t count) {
    const absl::Time deadline = absl::Now() + kPatience;
    MutexLock lock(&mu_);
    while (told_.size() < count && absl::Now() < deadline) {
      changed_.WaitFor(&mu_, deadline - absl::Now());
    }
    return told_.size() >= count;
  }

 private:
  Mutex mu_;
  CondVar changed_;
  std::vector<std::string> told_ ABSL_GUARDED_BY(mu_);
};

// While it lives, files can be made and read, but no byte can be written.
class FullDisk {
 public:
  FullDisk() : before_signal_(std::signal(SIGXFSZ, SIG_IGN)) {
    EXPECT_EQ(getrlimit(RLIMIT_FSIZE, &before_), 0);
    rlimit none = before_;
    none.rlim_cur = 0;
    EXPECT_EQ(setrlimit(RLIMIT_FSIZE, &none), 0);
  }
  ~FullDisk() {
    EXPECT_EQ(setrlimit(RLIMIT_FSIZE, &before_), 0);
    std::signal(SIGXFSZ, before_signal_);
  }
  FullDisk(const FullDisk&) = delete;
  FullDisk& operator=(const FullDisk&) = delete;

 private:
  rlimit before_{};
  void (*const before_signal_)(int);
};

class HistoryTest : public testing::Test {
 protected:
  std::unique_ptr<History> Open(const std::string& directory = "state") {
    auto history = History::Open(directory_.Path(directory), &clock_, &log_);
    EXPECT_TRUE(history.ok()) << history.status();
    return *std::move(history);
  }
  static SourceConfig Config(const std::string& name = "app", bool sensitive = false) {
    SourceConfig config;
    config.name = name;
    config.sensitive = sensitive;
    return config;
  }
  static std::shared_ptr<const Snapshot> Append(SnapshotStore* store, const Files& files) {
    Generation generation = MakeGeneration(files);
    const Sha256 digest = DigestOf(generation);
    return store->Append(std::move(generation), digest, absl::Now());
  }
  static Files FilesOf(const Snapshot& snapshot) {
    Files files;
    for (const SnapshotFile& file : snapshot.files) files[file.path] = file.content->bytes;
    return files;
  }
  // What a killed process leaves: the directory as it is at this moment.
  void CopyAsIfKilled(const std::string& to) {
    std::filesystem::remove_all(directory_.Path(to));
    std::filesystem::copy(directory_.Path("state"), directory_.Path(to));
  }
  std::vector<std::string> FilesLike(const std::string& part) {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(directory_.Path("state"))) {
      const std::string name = entry.path().filename();
      if (absl::StrContains(name, part)) names.push_back(name);
    }
    return names;
  }
  std::string DiskContent() {
    std::string all;
    for (const auto& entry : std::filesystem::directory_iterator(directory_.Path("state"))) {
      std::ifstream file(entry.path());
      all.append(std::istreambuf_iterator<char>(file), {});
    }
    return all;
  }

  TemporaryDirectory directory_;
  SystemClock clock_;
  std::ostringstream log_text_;
  Logger log_{LogFormat::kText, LogLevel::kDebug,
              std::make_shared<spdlog::sinks::ostream_sink_mt>(log_text_)};
};

TEST_F(HistoryTest, WithoutADirectoryHistoryIsInMemory) {
  const auto history = *History::Open("", &clock_, &log_);
  const auto store = history->Source(Config());
  Append(store.get(), {{"a", "1"}});
  EXPECT_EQ(store->status().state, HistoryStatus::kMemory);
  EXPECT_FALSE(store->AwaitRecorded(kPatience));
}

TEST_F(HistoryTest, TheSameSourceHasTheSameStore) {
  const auto history = Open();
  EXPECT_EQ(history->Source(Config()), history->Source(Config()));
  EXPECT_NE(history->Source(Config()), history->Source(Config("other")));
}

TEST_F(HistoryTest, EverythingOutlivesAnOrderlyEnd) {
  const std::string binary("\0\xff\n", 3);
  std::vector<std::shared_ptr<const Snapshot>> published;
  Pin pin{1, absl::FromUnixSeconds(5), absl::FromUnixSeconds(99), "why", {}, Sha256::Of("x")};
  {
    const auto history = Open();
    const auto store = history->Source(Config());
    published.push_back(Append(store.get(), {{"a", "1"}, {"b/c", binary}, {"empty", ""}}));
    published.push_back(Append(store.get(), {{"a", "2"}, {"b/c", binary}}));
    pin.replaced = published[1]->digest;
    published.push_back(store->AppendRollback(*published[0], absl::Now(), pin));
    EXPECT_TRUE(store->AwaitRecorded(kPatience));
    EXPECT_EQ(store->status().recorded_version, 3);
    history->Close();
  }
  const auto history = Open();
  const auto store = history->Source(Config());
  EXPECT_EQ(store->epoch(), published[0]->epoch);
  EXPECT_EQ(store->latest()->version, 3);
  EXPECT_EQ(store->pin(), pin);
  EXPECT_EQ(store->status().state, HistoryStatus::kRecorded);
  for (const auto& before : published) {
    const auto after = store->Find(before->version);
    ASSERT_NE(after, nullptr);
    EXPECT_EQ(FilesOf(*after), FilesOf(*before));
    EXPECT_EQ(after->digest, before->digest);
    EXPECT_EQ(after->origin, before->origin);
    EXPECT_EQ(after->rolled_back_to, before->rolled_back_to);
    for (size_t i = 0; i < before->files.size(); ++i) {
      EXPECT_EQ(after->files[i].last_changed_version, before->files[i].last_changed_version);
    }
  }
  EXPECT_EQ(Append(store.get(), {{"a", "4"}})->version, 4) << "numbers go on without a gap";
}

TEST_F(HistoryTest, AfterAKillTheRestoredContentGetsANumberAboveAllThatMayHaveBeenUsed) {
  const auto history = Open();
  const auto store = history->Source(Config());
  const auto last = Append(store.get(), {{"a", "1"}});
  ASSERT_TRUE(store->AwaitRecorded(kPatience));
  CopyAsIfKilled("killed");
  const auto again = Open("killed");
  const auto restored = again->Source(Config());
  EXPECT_EQ(restored->epoch(), last->epoch);
  EXPECT_EQ(FilesOf(*restored->latest()), FilesOf(*last));
  EXPECT_GT(restored->latest()->version, SnapshotStore::kReserve);
  EXPECT_EQ(restored->latest()->files[0].last_changed_version, 1);
  EXPECT_NE(restored->Find(1), nullptr);
}

TEST_F(HistoryTest, NoVersionIsUsedForTwoContentsWhateverTheMomentOfTheKill) {
  std::mt19937 random(4711);
  std::map<std::pair<std::string, int64_t>, Sha256> used;
  std::string directory = "state";
  int content = 0;
  int pinned = 0;
  for (int round = 0; round < 60; ++round) {
    std::optional<FullDisk> full;  // in some rounds, until the kill
    if (round % 3 == 2) full.emplace();
    const auto history = Open(directory);
    const auto store = history->Source(Config());
    const auto note = [&used](const Snapshot& snapshot) {
      const auto inserted =
          used.emplace(std::make_pair(snapshot.epoch, snapshot.version), snapshot.digest);
      EXPECT_EQ(inserted.first->second, snapshot.digest) << snapshot.version;
    };
    if (store->latest() != nullptr) note(*store->latest());
    if (store->pin().has_value()) {
      ++pinned;
      EXPECT_EQ(store->pin()->reason, store->latest()->digest.Hex())
          << "what is pinned and what is served are of one moment";
    }
    const int count = std::uniform_int_distribution<>(0, 40)(random);
    const int killed_at = std::uniform_int_distribution<>(0, count)(random);
    const std::string next = absl::StrCat("round", round);
    for (int i = 0; i <= count; ++i) {
      if (i == killed_at) {
        full.reset();
        // The recorder may be at work: what it has written by now is what a kill would leave.
        std::filesystem::copy(directory_.Path(directory), directory_.Path(next));
      }
      if (i % 7 == 3) {
        const auto old = store->FindAfter(0);
        const Pin pin = {old->version,
                         absl::Now(),
                         absl::InfiniteFuture(),
                         old->digest.Hex(),
                         store->latest()->digest,
                         {}};
        note(*store->AppendRollback(*old, absl::Now(), pin));
      } else {
        store->SetPin(std::nullopt);
        note(*Append(store.get(), {{"a", absl::StrCat(++content)}}));
      }
      if (i % 5 == 0) store->AwaitRecorded(kPatience);
    }
    history->Close();
    std::filesystem::remove_all(directory_.Path(directory));
    directory = next;
  }
  EXPECT_GT(used.size(), 600u);
  EXPECT_GT(pinned, 3);
}

TEST_F(HistoryTest, ReserveIsExtendedInTheBackgroundAndTheEpochStays) {
  const auto history = Open();
  const auto store = history->Source(Config());
  const std::string epoch = store->epoch();
  for (int i = 0; i < 3 * SnapshotStore::kReserve; ++i) {
    Append(store.get(), {{"a", absl::StrCat(i)}});
    if (i % 100 == 0) {
      ASSERT_TRUE(store->AwaitRecorded(kPatience));
    }
  }
  EXPECT_EQ(store->epoch(), epoch);
}

TEST_F(HistoryTest, VersionsThatWereDroppedAreGoneFromTheDiskWithTheirContents) {
  SourceConfig config = Config();
  config.retention.max_versions = 2;
  const auto history = Open();
  const auto store = history->Source(config);
  Append(store.get(), {{"a", "needle in the first"}, {"b", "needle that stays"}});
  Append(store.get(), {{"a", "2"}, {"b", "needle that stays"}});
  Append(store.get(), {{"a", "3"}, {"b", "needle that stays"}});
  ASSERT_TRUE(store->AwaitRecorded(kPatience));
  history->Close();
  EXPECT_FALSE(absl::StrContains(DiskContent(), "needle in the first"));
  EXPECT_TRUE(absl::StrContains(DiskContent(), "needle that stays"));
  const auto again = Open();
  const auto restored = again->Source(config);
  EXPECT_EQ(restored->dropped_up_to(), 1);
  EXPECT_EQ(restored->List(INT64_MAX, 10).size(), 2u);
}

TEST_F(HistoryTest, ContentIsOnDiskOnceForAllSourcesAndVersions) {
  const std::string big(100000, 'x');
  const auto history = Open();
  for (const char* name : {"one", "two"}) {
    const auto store = history->Source(Config(name));
    for (int i = 0; i < 20; ++i) {
      Append(store.get(), {{"big", big}, {absl::StrCat("big", i), big}, {"n", absl::StrCat(i)}});
    }
    ASSERT_TRUE(store->AwaitRecorded(kPatience));
  }
  history->Close();
  EXPECT_LT(std::filesystem::file_size(directory_.Path("state/history.db")), 3 * big.size());
}

TEST_F(HistoryTest, ASecondProcessIsRefusedUntilTheFirstIsGone) {
  auto first = Open();
  const auto second = History::Open(directory_.Path("state"), &clock_, &log_);
  EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(absl::StrContains(second.status().message(), directory_.Path("state")));
  first.reset();
  EXPECT_TRUE(History::Open(directory_.Path("state"), &clock_, &log_).ok());
}

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
  EXPECT_TRUE(absl::StrContains(log_text_.str(), "set aside"));
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
    EXPECT_NE(log_text_.str().find("let this user read both"), std::string::npos);
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
    EXPECT_TRUE(absl::StrContains(log_text_.str(), "history cannot be read")) << log_text_.str();
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

TEST_F(HistoryTest, SensitiveSourceLeavesNumbersOnly) {
  int64_t last = 0;
  std::string epoch;
  {
    const auto history = Open();
    const auto store = history->Source(Config("app", true));
    EXPECT_EQ(store->status().state, HistoryStatus::kMemory);
    last = Append(store.get(), {{"a.path", "a secret"}})->version;
    store->SetPin(Pin{1, absl::Now(), absl::InfiniteFuture(), "a reason", Sha256::Of("x"), {}});
    epoch = store->epoch();
    history->Close();
  }
  for (const char* trace : {"a secret", "a.path", "a reason"}) {
    EXPECT_FALSE(absl::StrContains(DiskContent(), trace)) << trace;
  }
  const auto history = Open();
  const auto store = history->Source(Config("app", true));
  EXPECT_EQ(store->latest(), nullptr);
  EXPECT_FALSE(store->pin().has_value());
  EXPECT_EQ(store->epoch(), epoch);
  EXPECT_GT(Append(store.get(), {{"a.path", "a secret"}})->version, last);
}

TEST_F(HistoryTest, SourceThatBecomesSensitiveIsErasedFromTheDisk) {
  const auto history = Open();
  const auto store = history->Source(Config());
  const int64_t last = Append(store.get(), {{"a.path", "a secret"}})->version;
  ASSERT_TRUE(store->AwaitRecorded(kPatience));
  ASSERT_TRUE(absl::StrContains(DiskContent(), "a secret"));
  const auto sensitive = history->Source(Config("app", true));
  EXPECT_NE(sensitive, store);
  ASSERT_NE(sensitive->latest(), nullptr) << "what is served stays";
  EXPECT_EQ(FilesOf(*sensitive->latest()), FilesOf(*store->latest()));
  for (const char* trace : {"a secret", "a.path"}) {
    EXPECT_FALSE(absl::StrContains(DiskContent(), trace)) << trace;
  }
  EXPECT_GT(Append(sensitive.get(), {{"a", "2"}})->version, last);
}

}  // namespace
}  // namespace confstream
