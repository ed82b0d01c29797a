#include "server/fanout/view_delta.h"

#include <gtest/gtest.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "tests/fakes/client_copy.h"
#include "tests/fakes/snapshots.h"

namespace confstream {
namespace {

constexpr size_t kMiB = size_t{1} << 20;

// A delta from version 3 to version 7, and what it leads to.
class DeltaBetween {
 public:
  DeltaBetween(const Files& base, const Files& target, std::vector<std::string> globs = {})
      : view_(*View::Parse(std::move(globs))),
        target_(MakeSnapshot(7, target), view_, nullptr),
        delta_(*MakeSnapshot(3, base), 3, target_, view_) {}

  const ViewDelta& delta() const { return delta_; }
  const ViewSnapshot& target() const { return target_; }
  bool smaller() const { return delta_.IsSmallerThan(target_); }

  v1::WatchResponse Fragment(size_t index) const {
    v1::WatchResponse response;
    EXPECT_TRUE(response.ParseFromString(delta_.EncodeFragment(index)));
    EXPECT_EQ(response.more_fragments(), index + 1 < delta_.fragment_count());
    EXPECT_EQ(response.delta().base_version(), 3);
    EXPECT_EQ(response.delta().view_digest(), target_.position()->view_digest().Text());
    EXPECT_EQ(response.header().version(), target_.position()->token.version);
    return response;
  }
  // What a client that holds `files` of the base makes of it.
  Files Apply(const Files& files) const {
    ClientCopy copy(3, files);
    for (size_t i = 0; i < delta_.fragment_count(); ++i) {
      v1::WatchResponse response = Fragment(i);
      response.mutable_header()->set_version(7);
      copy.Take(response);
    }
    EXPECT_EQ(copy.deltas(), 1);
    return copy.files();
  }
  // With everything that is the same for both left out.
  static size_t EncodedBytes(const ViewMessage& message) {
    size_t bytes = 0;
    for (size_t i = 0; i < message.fragment_count(); ++i) bytes += message.EncodeFragment(i).size();
    return bytes;
  }

 private:
  const View view_;
  const ViewSnapshot target_;
  const ViewDelta delta_;
};

const Files kBase = {{"a", "1"}, {"b", "1"}, {"c", "1"}, {"d/e", "1"}};

TEST(ViewDeltaTest, TellsWhatIsNewWhatChangedAndWhatIsGoneAndNothingElse) {
  const Files target = {{"a", "1"}, {"b", "2"}, {"c2", "1"}, {"d/e", "1"}};
  const DeltaBetween between(kBase, target);
  ASSERT_EQ(between.delta().fragment_count(), 1u);
  const v1::Delta delta = between.Fragment(0).delta();
  ASSERT_EQ(delta.changed_files_size(), 2);
  EXPECT_EQ(delta.changed_files(0).path(), "b");
  EXPECT_EQ(delta.changed_files(0).content(), "2");
  EXPECT_EQ(delta.changed_files(0).last_changed_version(), 7);
  EXPECT_EQ(delta.changed_files(1).path(), "c2");
  ASSERT_EQ(delta.removed_paths_size(), 1);
  EXPECT_EQ(delta.removed_paths(0), "c");
  EXPECT_EQ(between.Apply(kBase), target);
  EXPECT_EQ(between.delta().position(), between.target().position());
}

TEST(ViewDeltaTest, FilesOutsideTheViewAreNoPartOfIt) {
  const Files target = {{"a", "2"}, {"d/e", "2"}, {"d/f", "1"}};
  const DeltaBetween between(kBase, target, {"d/**"});
  const v1::Delta delta = between.Fragment(0).delta();
  EXPECT_EQ(delta.changed_files_size(), 2);
  EXPECT_EQ(delta.removed_paths_size(), 0) << "b and c are none of this view's";
  EXPECT_EQ(between.Apply({{"d/e", "1"}}), (Files{{"d/e", "2"}, {"d/f", "1"}}));
}

TEST(ViewDeltaTest, GlobsThatSelectNothingAfterwardsAreNamedOnTheLastFragmentOnly) {
  const Files base = {{"a.yaml", "1"}, {"big", "1"}};
  const DeltaBetween between(base, {{"big", std::string(2 * kMiB, 'x')}}, {"*.yaml", "big"});
  ASSERT_GT(between.delta().fragment_count(), 1u);
  EXPECT_EQ(between.Fragment(0).delta().missing_globs_size(), 0);
  const v1::WatchResponse last = between.Fragment(between.delta().fragment_count() - 1);
  ASSERT_EQ(last.delta().missing_globs_size(), 1);
  EXPECT_EQ(last.delta().missing_globs(0), "*.yaml");
}

TEST(ViewDeltaTest, LargeFileIsSplitAndComesTogetherExactly) {
  std::string big(3 * kMiB + 17, '\0');
  for (size_t i = 0; i < big.size(); ++i) big[i] = static_cast<char>(i * 2654435761u >> 13);
  Files target = kBase;
  target["b"] = big;
  target.erase("c");
  const DeltaBetween between(kBase, target);
  EXPECT_EQ(between.delta().fragment_count(), 4u);
  EXPECT_TRUE(between.Apply(kBase) == target);
}

TEST(ViewDeltaTest, ManyRemovedPathsAreSpreadOverTheFragments) {
  Files base = kBase;
  for (int i = 0; i < 20000; ++i) base.emplace(absl::StrCat(std::string(200, 'p'), i), "");
  const DeltaBetween between(base, kBase);
  ASSERT_GE(between.delta().fragment_count(), 4u) << "4 MB of paths";
  for (size_t i = 0; i < between.delta().fragment_count(); ++i) {
    EXPECT_LE(between.delta().EncodeFragment(i).size(), kMiB + kMiB / 16);
  }
  EXPECT_EQ(between.Apply(base), kBase);
}

TEST(ViewDeltaTest, IsSmallerExactlyIfItsMessagesAre) {
  const Files many = {{"a", "1"}, {"b", "1"}, {"c", "1"}, {std::string(300, 'l'), "1"}};
  int smaller = 0;
  int larger = 0;
  for (const Files& base : {Files{}, kBase, many, Files{{"a", "x"}}}) {
    for (const Files& target : {Files{}, kBase, many, Files{{"a", "1"}}, Files{{"a", ""}}}) {
      const DeltaBetween between(base, target);
      const bool is_smaller = DeltaBetween::EncodedBytes(between.delta()) <
                              DeltaBetween::EncodedBytes(between.target());
      EXPECT_EQ(between.smaller(), is_smaller) << base.size() << " to " << target.size();
      ++(is_smaller ? smaller : larger);
    }
  }
  EXPECT_GT(smaller, 2);
  EXPECT_GT(larger, 2);
}

}  // namespace
}  // namespace confstream
