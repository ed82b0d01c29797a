#include "server/history/snapshot_store.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "tests/fakes/snapshots.h"

namespace confstream {
namespace {

class SnapshotStoreTest : public testing::Test {
 protected:
  std::shared_ptr<const Snapshot> Append(const Files& files) {
    Generation generation = MakeGeneration(files);
    const Sha256 digest = DigestOf(generation);
    return store_.Append(std::move(generation), digest, now_);
  }
  // path -> last_changed_version
  static std::map<std::string, int64_t> Changed(const Snapshot& snapshot) {
    std::map<std::string, int64_t> changed;
    for (const SnapshotFile& file : snapshot.files) changed[file.path] = file.last_changed_version;
    return changed;
  }
  using Versions = std::map<std::string, int64_t>;

  // Appends one file with each of the contents.
  void AppendEach(const std::vector<std::string>& contents) {
    for (const std::string& content : contents) Append({{"a", content}});
  }
  static SourceConfig Config() {
    SourceConfig config;
    config.name = "app";
    return config;
  }
  std::vector<int64_t> Retained() const {
    std::vector<int64_t> versions;
    for (const VersionSummary& summary : store_.List(INT64_MAX, 1000)) {
      versions.insert(versions.begin(), summary.version);
    }
    return versions;
  }
  void Retain(int64_t max_versions, absl::Duration max_age = absl::Hours(24 * 365 * 100),
              int64_t max_bytes = 1 << 20) {
    store_.SetRetention({max_versions, max_age, max_bytes}, now_);
  }
  using List = std::vector<int64_t>;

  absl::Time now_ = absl::FromUnixSeconds(1'000);
  SnapshotStore store_{Config(), RecordedHistory(), nullptr};
};

TEST_F(SnapshotStoreTest, OfASensitiveSourceOneOlderVersionIsKeptWhateverItsSettingsSay) {
  SourceConfig config = Config();
  config.sensitive = true;
  config.retention.max_age = absl::InfiniteDuration();
  SnapshotStore store(config, RecordedHistory(), nullptr);
  std::weak_ptr<const FileContent> first;
  for (const char* content : {"1", "2", "3"}) {
    Generation generation = MakeGeneration({{"a", content}});
    const Sha256 digest = DigestOf(generation);
    const auto published = store.Append(std::move(generation), digest, now_);
    if (published->version == 1) first = published->files[0].content;
  }
  EXPECT_EQ(store.Find(1), nullptr);
  EXPECT_TRUE(first.expired()) << "it is not in memory any more";
  ASSERT_NE(store.Find(2), nullptr);
  config.retention.max_versions = 1;
  store.SetRetention(config.retention, now_);
  EXPECT_EQ(store.Find(2), nullptr) << "less can be asked for";
}

TEST_F(SnapshotStoreTest, HoldsNothingAtFirst) {
  EXPECT_EQ(store_.latest(), nullptr);
  EXPECT_EQ(store_.epoch().size(), 32u);
  EXPECT_EQ(store_.Find(1), nullptr);
  EXPECT_EQ(store_.FindAfter(0), nullptr);
  EXPECT_EQ(store_.status().state, HistoryStatus::kMemory);
  EXPECT_FALSE(store_.AwaitRecorded(absl::ZeroDuration()));
}

TEST_F(SnapshotStoreTest, VersionsCountFromOneAndTheNewestIsTheLatest) {
  const auto first = Append({{"a", "1"}});
  EXPECT_EQ(first->version, 1);
  EXPECT_EQ(first->source, "app");
  EXPECT_EQ(first->epoch, store_.epoch());
  EXPECT_EQ(first->publish_time, absl::FromUnixSeconds(1'000));
  EXPECT_EQ(first->digest, DigestOf(MakeGeneration({{"a", "1"}})));
  EXPECT_EQ(store_.latest(), first);
  const auto second = Append({{"a", "2"}});
  EXPECT_EQ(second->version, 2);
  EXPECT_EQ(store_.latest(), second);
  EXPECT_EQ(first->version, 1) << "what was published stays as it is";
  EXPECT_EQ(first->files[0].content->bytes, "1");
}

TEST_F(SnapshotStoreTest, FilesThatDidNotChangeKeepTheVersionOfTheirLastChange) {
  EXPECT_EQ(Changed(*Append({{"a", "1"}, {"b", "1"}, {"c", "1"}})),
            (Versions{{"a", 1}, {"b", 1}, {"c", 1}}));
  EXPECT_EQ(Changed(*Append({{"a", "1"}, {"b", "2"}, {"c", "1"}})),
            (Versions{{"a", 1}, {"b", 2}, {"c", 1}}));
  EXPECT_EQ(Changed(*Append({{"a", "1"}, {"b", "2"}, {"c", "3"}})),
            (Versions{{"a", 1}, {"b", 2}, {"c", 3}}));
}

TEST_F(SnapshotStoreTest, NewFilesAmongOldOnesAreNew) {
  Append({{"b", "1"}, {"d", "1"}});
  EXPECT_EQ(Changed(*Append({{"a", "x"}, {"b", "1"}, {"c", "x"}, {"d", "1"}, {"e", "x"}})),
            (Versions{{"a", 2}, {"b", 1}, {"c", 2}, {"d", 1}, {"e", 2}}));
}

TEST_F(SnapshotStoreTest, RenamedFileIsNewThoughItsContentIsNot) {
  Append({{"a", "1"}, {"b", "2"}});
  EXPECT_EQ(Changed(*Append({{"b", "2"}, {"c", "1"}})), (Versions{{"b", 1}, {"c", 2}}));
}

TEST_F(SnapshotStoreTest, ExchangedContentsAreTwoChanges) {
  Append({{"a", "1"}, {"b", "2"}});
  EXPECT_EQ(Changed(*Append({{"a", "2"}, {"b", "1"}})), (Versions{{"a", 2}, {"b", 2}}));
}

TEST_F(SnapshotStoreTest, DeletionChangesNoOtherFile) {
  Append({{"a", "1"}, {"b", "1"}, {"c", "1"}});
  EXPECT_EQ(Changed(*Append({{"a", "1"}, {"c", "1"}})), (Versions{{"a", 1}, {"c", 1}}));
  EXPECT_TRUE(Append({})->files.empty());
}

TEST_F(SnapshotStoreTest, FileThatWasDeletedAndCameBackIsNew) {
  Append({{"a", "1"}, {"b", "1"}});
  Append({{"a", "1"}});
  EXPECT_EQ(Changed(*Append({{"a", "1"}, {"b", "1"}})), (Versions{{"a", 1}, {"b", 3}}));
}

TEST_F(SnapshotStoreTest, RevertIsANewVersionInWhichTheFileChanged) {
  const auto first = Append({{"a", "1"}, {"b", "1"}});
  Append({{"a", "2"}, {"b", "1"}});
  const auto third = Append({{"a", "1"}, {"b", "1"}});
  EXPECT_EQ(third->version, 3);
  EXPECT_EQ(third->digest, first->digest);
  EXPECT_EQ(Changed(*third), (Versions{{"a", 3}, {"b", 1}}));
}

TEST_F(SnapshotStoreTest, EveryRetainedVersionCanBePutTogetherAsItWas) {
  const std::vector<Files> history = {{{"a", "1"}, {"b", "1"}},
                                      {{"a", "2"}, {"b", "1"}, {"c", "3"}},
                                      {{"c", "3"}},
                                      {},
                                      {{"a", "1"}, {"c", "4"}}};
  std::vector<std::shared_ptr<const Snapshot>> published;
  for (const Files& files : history) published.push_back(Append(files));
  for (const auto& snapshot : published) {
    const auto found = store_.Find(snapshot->version);
    ASSERT_NE(found, nullptr);
    EXPECT_EQ(found->digest, snapshot->digest);
    EXPECT_EQ(found->epoch, snapshot->epoch);
    EXPECT_EQ(Changed(*found), Changed(*snapshot));
    Generation generation;
    for (const SnapshotFile& file : found->files) {
      generation.files.push_back({file.path, file.content});
    }
    EXPECT_EQ(DigestOf(generation), snapshot->digest);
  }
  EXPECT_EQ(store_.Find(6), nullptr);
  EXPECT_EQ(store_.Find(0), nullptr);
}

TEST_F(SnapshotStoreTest, VersionsNobodyHoldsAnyMoreArePutTogetherAgain) {
  for (int i = 1; i <= 20; ++i) Append({{"a", std::to_string(i)}});
  EXPECT_EQ(store_.Find(3)->files[0].content->bytes, "3");
  EXPECT_EQ(store_.FindAfter(3)->version, 4);
  EXPECT_EQ(store_.FindAfter(3)->files[0].content->bytes, "4");
  EXPECT_EQ(store_.FindAfter(19), store_.latest());
  EXPECT_EQ(store_.FindAfter(20), nullptr);
  EXPECT_EQ(store_.Find(3), store_.Find(3)) << "shared while somebody has it";
}

TEST_F(SnapshotStoreTest, EqualContentsAreKeptOnce) {
  const auto first = Append({{"a", "same"}});
  Append({{"a", "other"}});
  const auto third = Append({{"a", "same"}, {"b", "same"}});
  EXPECT_EQ(third->files[0].content, first->files[0].content);
  EXPECT_EQ(third->files[1].content, first->files[0].content);
}

TEST_F(SnapshotStoreTest, ListTellsWhatEachVersionChangedNewestFirst) {
  Append({{"a", "1"}, {"b", "22"}});
  Append({{"a", "3"}, {"c", "4"}});
  const auto versions = store_.List(INT64_MAX, 10);
  ASSERT_EQ(versions.size(), 2u);
  EXPECT_EQ(versions[0].version, 2);
  EXPECT_EQ(versions[0].changed_file_count, 2);
  EXPECT_EQ(versions[0].removed_file_count, 1);
  EXPECT_EQ(versions[0].file_count, 2);
  EXPECT_EQ(versions[1].changed_file_count, 2);
  EXPECT_EQ(versions[1].size_bytes, 3);
  ASSERT_EQ(store_.List(2, 10).size(), 1u);
  EXPECT_EQ(store_.List(2, 10)[0].version, 1);
  EXPECT_EQ(store_.List(INT64_MAX, 1)[0].version, 2);
}

TEST_F(SnapshotStoreTest, RollbackIsANewVersionThatSaysWhereItsContentIsFrom) {
  AppendEach({"1", "2"});
  const auto back = store_.AppendRollback(*store_.Find(1), now_, Pin{1, now_, now_, "why", {}, {}});
  EXPECT_EQ(back->version, 3);
  EXPECT_EQ(back->origin, SnapshotOrigin::kRollback);
  EXPECT_EQ(back->rolled_back_to, 1);
  EXPECT_EQ(back->digest, store_.Find(1)->digest);
  EXPECT_EQ(store_.List(INT64_MAX, 1)[0].rolled_back_to, 1);
  EXPECT_EQ(store_.pin()->reason, "why");
}

TEST_F(SnapshotStoreTest, MoreVersionsThanAreRetainedDropTheOldest) {
  Retain(3);
  AppendEach({"1", "2", "3"});
  EXPECT_EQ(store_.dropped_up_to(), 0);
  AppendEach({"4", "5"});
  EXPECT_EQ(Retained(), (List{3, 4, 5}));
  EXPECT_EQ(store_.dropped_up_to(), 2);
  EXPECT_EQ(store_.Find(2), nullptr);
  EXPECT_EQ(store_.FindAfter(0)->version, 3);
  Retain(1);
  EXPECT_EQ(Retained(), (List{5}));
}

TEST_F(SnapshotStoreTest, AVersionsAgeCountsFromWhenItWasReplaced) {
  Retain(100, absl::Hours(1));
  AppendEach({"1"});
  now_ += absl::Hours(5);
  AppendEach({"2"});
  EXPECT_EQ(Retained(), (List{1, 2})) << "1 was served until now";
  now_ += absl::Hours(2);
  AppendEach({"3"});
  EXPECT_EQ(Retained(), (List{2, 3}));
}

TEST_F(SnapshotStoreTest, ContentsBeyondTheBoundDropTheOldestAndFreeTheirMemory) {
  Retain(100, absl::Hours(24), 25);
  const std::string ten(9, 'x');
  std::weak_ptr<const FileContent> first = Append({{"a", "1" + ten}})->files[0].content;
  AppendEach({"2" + ten, "3" + ten});
  EXPECT_EQ(Retained(), (List{1, 2, 3}));
  AppendEach({"4" + ten});
  EXPECT_EQ(Retained(), (List{2, 3, 4}));
  AppendEach(
      {"5" + ten, "6" + ten, "7" + ten, "8" + ten});  // past what is kept for the next to ask
  EXPECT_TRUE(first.expired());
  AppendEach({"9" + ten});
  AppendEach({"8" + ten});
  EXPECT_EQ(Retained().size(), 4u) << "what the newest has again is not counted";
}

// Stands for the recorder.
class IgnoredRequests final : public RecordingRequests {
 public:
  void RequestRecording() override {}
};

TEST_F(SnapshotStoreTest, NumbersThatTheDiskMayKnowAreNotPassedInTheirEpochUntilItSaysSo) {
  IgnoredRequests requests;
  SnapshotStore store(Config(), RecordedHistory(), &requests);
  const auto append = [&](int count) {
    for (int i = 0; i < count; ++i) {
      Generation generation =
          MakeGeneration({{"a", std::to_string(store.FindAfter(0) == nullptr)}});
      const Sha256 digest = Sha256::Of(std::to_string(i));
      store.Append(std::move(generation), digest, now_);
    }
    return store.latest()->epoch;
  };
  const std::string first = append(5000);
  EXPECT_EQ(append(1), first) << "the disk cannot know of it: nothing was offered yet";
  const auto offered = store.TakeUnrecorded(false);
  ASSERT_TRUE(offered.has_value());
  EXPECT_EQ(offered->epoch, first);
  EXPECT_EQ(append(SnapshotStore::kReserve), first);
  // The recording failed, or seemed to: the disk may have the epoch and the reserve.
  store.NoteFailed("no space");
  const std::string second = append(1);
  EXPECT_NE(second, first);
  ASSERT_TRUE(store.NoteRecorded(*offered));
  EXPECT_EQ(append(3 * SnapshotStore::kReserve), second) << "what was recorded is of the first";
}

TEST_F(SnapshotStoreTest, NobodyWaitsForTheDiskOnceWaitsHaveEnded) {
  IgnoredRequests requests;
  SnapshotStore store(Config(), RecordedHistory(), &requests);
  store.Append(MakeGeneration({{"a", "1"}}), Sha256::Of("1"), now_);
  std::thread waiting([&store] { EXPECT_FALSE(store.AwaitRecorded(absl::Hours(1))); });
  store.EndWaits();
  waiting.join();
  EXPECT_FALSE(store.AwaitRecorded(absl::Hours(1)));
}

TEST_F(SnapshotStoreTest, WhatIsRecordedNeverHasThePinOfAnotherRollback) {
  IgnoredRequests requests;
  SnapshotStore store(Config(), RecordedHistory(), &requests);
  std::vector<std::shared_ptr<const Snapshot>> old;
  for (const char* content : {"1", "2"}) {
    Generation generation = MakeGeneration({{"a", content}});
    const Sha256 digest = DigestOf(generation);
    old.push_back(store.Append(std::move(generation), digest, now_));
  }
  std::atomic<bool> over{false};
  int taken = 0;
  int mixed = 0;
  std::thread recorder([&] {
    while (!over) {
      const auto unrecorded = store.TakeUnrecorded(false);
      if (!unrecorded.has_value()) continue;
      store.NoteRecorded(*unrecorded);
      if (unrecorded->versions.empty()) continue;
      const VersionSummary& newest = unrecorded->versions.back();
      if (newest.origin != SnapshotOrigin::kRollback) continue;
      ++taken;
      mixed += unrecorded->pin->version == newest.rolled_back_to ? 0 : 1;
    }
  });
  store.SetPin(Pin{2, now_, now_, "", {}, {}});
  for (int i = 0; i < 20'000; ++i) {
    const auto& back = old[i % 2];
    store.AppendRollback(*back, now_, Pin{back->version, now_, now_, "", {}, {}});
  }
  over = true;
  recorder.join();
  EXPECT_GT(taken, 0);
  EXPECT_EQ(mixed, 0);
}

TEST_F(SnapshotStoreTest, WhatTheDiskHasNotBeenToldOfIsNotKeptBeyondTheRetention) {
  IgnoredRequests requests;
  SourceConfig config = Config();
  config.retention.max_versions = 2;
  SnapshotStore store(config, RecordedHistory(), &requests);
  std::weak_ptr<const FileContent> first;
  for (int i = 0; i < 10; ++i) {
    Generation generation = MakeGeneration({{"a", std::to_string(i)}});
    const Sha256 digest = DigestOf(generation);
    const auto snapshot = store.Append(std::move(generation), digest, now_);
    if (i == 0) first = snapshot->files[0].content;
  }
  EXPECT_TRUE(first.expired());
  const auto unrecorded = store.TakeUnrecorded(false);
  ASSERT_TRUE(unrecorded.has_value());
  EXPECT_TRUE(unrecorded->everything);
  EXPECT_EQ(unrecorded->versions.size(), 2u);
  EXPECT_EQ(unrecorded->intervals.size(), 2u);
}

TEST_F(SnapshotStoreTest, OldVersionsAreDroppedWithTime) {
  Retain(100, absl::Hours(1));
  AppendEach({"1", "2"});
  store_.DropOld(now_ + absl::Minutes(30));
  EXPECT_EQ(Retained(), (List{1, 2}));
  store_.DropOld(now_ + absl::Hours(2));
  EXPECT_EQ(Retained(), (List{2}));
}

TEST(NewEpochTest, IsThirtyTwoHexDigitsAndNeverTheSame) {
  const std::string epoch = NewEpoch();
  EXPECT_EQ(epoch.size(), 32u);
  EXPECT_EQ(epoch.find_first_not_of("0123456789abcdef"), std::string::npos);
  EXPECT_NE(epoch, NewEpoch());
}

}  // namespace
}  // namespace confstream
