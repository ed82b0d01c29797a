#include "server/history/history.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tests/history_fixture.h"

namespace confstream {
namespace {

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
    // In some rounds right after a rollback, once it is recorded.
    const bool pins = round % 4 == 1;
    const int count = pins ? 4 : std::uniform_int_distribution<>(0, 40)(random);
    const int killed_at = pins ? 4 : std::uniform_int_distribution<>(0, count)(random);
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
      if (i % 5 == 0 || pins) store->AwaitRecorded(kPatience);
    }
    history->Close();
    std::filesystem::remove_all(directory_.Path(directory));
    directory = next;
  }
  EXPECT_GT(used.size(), 600u);
  EXPECT_GE(pinned, 10) << "after each of these rounds whose disk was not full";
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
