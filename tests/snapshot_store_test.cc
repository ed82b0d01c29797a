#include "server/history/snapshot_store.h"

#include <gtest/gtest.h>

#include <map>

#include "tests/fakes/snapshots.h"

namespace confstream {
namespace {

class SnapshotStoreTest : public testing::Test {
 protected:
  std::shared_ptr<const Snapshot> Append(const Files& files) {
    Generation generation = MakeGeneration(files);
    const Sha256 digest = DigestOf(generation);
    return store_.Append(std::move(generation), digest, absl::FromUnixSeconds(1'000));
  }
  // path -> last_changed_version
  static std::map<std::string, int64_t> Changed(const Snapshot& snapshot) {
    std::map<std::string, int64_t> changed;
    for (const SnapshotFile& file : snapshot.files) changed[file.path] = file.last_changed_version;
    return changed;
  }
  using Versions = std::map<std::string, int64_t>;

  SnapshotStore store_{"app", kEpochA};
};

TEST_F(SnapshotStoreTest, HoldsNothingAtFirst) {
  EXPECT_EQ(store_.latest(), nullptr);
  EXPECT_EQ(store_.epoch(), kEpochA);
}

TEST_F(SnapshotStoreTest, VersionsCountFromOneAndTheNewestIsTheLatest) {
  const auto first = Append({{"a", "1"}});
  EXPECT_EQ(first->version, 1);
  EXPECT_EQ(first->source, "app");
  EXPECT_EQ(first->epoch, kEpochA);
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

TEST(NewEpochTest, IsThirtyTwoHexDigitsAndNeverTheSame) {
  const std::string epoch = NewEpoch();
  EXPECT_EQ(epoch.size(), 32u);
  EXPECT_EQ(epoch.find_first_not_of("0123456789abcdef"), std::string::npos);
  EXPECT_NE(epoch, NewEpoch());
}

}  // namespace
}  // namespace confstream
