#include "server/fanout/view_snapshot.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "absl/strings/str_cat.h"
#include "tests/fakes/snapshots.h"

namespace confstream {
namespace {

constexpr size_t kMiB = size_t{1} << 20;

ViewSnapshot Of(const Files& files, std::vector<std::string> globs = {}) {
  return ViewSnapshot(MakeSnapshot(7, files), *View::Parse(std::move(globs)), nullptr);
}

// Content in which every stretch differs from every other.
std::string Bytes(size_t size, uint32_t seed = 1) {
  std::string bytes(size, '\0');
  uint32_t x = seed * 2654435761u + 1;
  for (char& c : bytes) {
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    c = static_cast<char>(x);
  }
  return bytes;
}

v1::WatchResponse Fragment(const ViewSnapshot& view, size_t index) {
  v1::WatchResponse response;
  EXPECT_TRUE(response.ParseFromString(view.EncodeFragment(index)));
  return response;
}

// Puts the fragments together as a client does, and expects of each what the API promises.
Files Reassemble(const ViewSnapshot& view) {
  Files files;
  std::string previous;
  for (size_t i = 0; i < view.fragment_count(); ++i) {
    const v1::WatchResponse response = Fragment(view, i);
    const bool last = i + 1 == view.fragment_count();
    EXPECT_EQ(response.more_fragments(), !last);
    EXPECT_EQ(response.snapshot().view_digest(), view.position()->view_digest().Text());
    EXPECT_EQ(response.header().version(), view.position()->token.version);
    if (!last) {
      EXPECT_EQ(response.snapshot().missing_globs_size(), 0);
    }
    for (const v1::ConfigFile& entry : response.snapshot().files()) {
      EXPECT_EQ(static_cast<int64_t>(files[entry.path()].size()), entry.content_offset());
      EXPECT_LE(previous, entry.path());
      previous = entry.path();
      files[entry.path()] += entry.content();
      EXPECT_LE(static_cast<int64_t>(files[entry.path()].size()), entry.size_bytes());
    }
  }
  return files;
}

// Close to what fragments target, and far from what clients refuse. All but the last have at least
// `least` bytes.
void ExpectFragmentSizes(const ViewSnapshot& view, size_t least) {
  for (size_t i = 0; i < view.fragment_count(); ++i) {
    const size_t size = view.EncodeFragment(i).size();
    EXPECT_LE(size, kMiB + kMiB / 16) << "fragment " << i;
    if (i + 1 < view.fragment_count()) {
      EXPECT_GE(size, least) << "fragment " << i;
    }
  }
}

// The digests were computed in a shell, in a directory that holds the files:
//   (LC_ALL=C; sha256sum $(find * -type f | sort)) | sha256sum
const Files kFiles = {
    {"a.yaml", "port: 80\n"}, {"b.json", "{}"}, {"back\\slash", "x"}, {"sub/c.txt", "z\n"}};

TEST(ViewSnapshotTest, DigestOfTheWholeIsWhatSha256sumGives) {
  const ViewSnapshot view = Of(kFiles);
  EXPECT_EQ(view.position()->view_digest().Text(),
            "sha256:1fa12ad64189d8011d2fd16f49ba088faee078b271b522c639e71eb5a2348e83");
  EXPECT_EQ(view.snapshot()->digest, view.position()->view_digest());
}

TEST(ViewSnapshotTest, DigestOfAPartIsWhatSha256sumGivesForItsFiles) {
  const ViewSnapshot view = Of(kFiles, {"a.yaml", "sub/**"});
  EXPECT_EQ(view.position()->view_digest().Text(),
            "sha256:ee508cd2dd9237a66082e9907ee24ccefab4fbfc40096c62787ab142ed888fef");
  EXPECT_EQ(view.files().size(), 2u);
  EXPECT_EQ(view.size_bytes(), 11);
}

TEST(ViewSnapshotTest, DigestOfNothingIsThatOfTheEmptyText) {
  EXPECT_EQ(Of(kFiles, {"nothing"}).position()->view_digest().Text(),
            "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

TEST(ViewSnapshotTest, PositionTellsTheVersionAndASharedToken) {
  const ViewSnapshot view = Of(kFiles, {"*.yaml"});
  v1::WatchResponse response;
  ASSERT_TRUE(response.ParseFromString(view.position()->header));
  EXPECT_EQ(response.event_case(), v1::WatchResponse::EVENT_NOT_SET);
  const v1::ResponseHeader& header = response.header();
  EXPECT_EQ(header.source(), "app");
  EXPECT_EQ(header.epoch(), kEpochA);
  EXPECT_EQ(header.version(), 7);
  EXPECT_EQ(header.digest(), view.snapshot()->digest.Text()) << "over all files, not the view's";
  EXPECT_EQ(header.publish_time().seconds(), 1'767'225'607);
  EXPECT_EQ(header.origin(), v1::SNAPSHOT_ORIGIN_FILES);
  const auto token = ResumeToken::Decode(header.resume_token());
  ASSERT_TRUE(token.has_value());
  EXPECT_EQ(token->version, 7);
  EXPECT_EQ(token->view_digest, view.position()->view_digest());
  EXPECT_TRUE(token->SameView(Of(kFiles, {"*.yaml"}).position()->token));
  EXPECT_EQ(header.resume_token(), Of(kFiles, {"*.yaml"}).position()->token.Encode());
}

TEST(ViewSnapshotTest, ChangeNumberCountsOnlyVersionsThatChangeTheView) {
  const View view = *View::Parse({"*.yaml"});
  const ViewSnapshot first(MakeSnapshot(1, {{"a.yaml", "1"}, {"b", "1"}}), view, nullptr);
  const ViewSnapshot elsewhere(MakeSnapshot(2, {{"a.yaml", "1"}, {"b", "2"}}), view, &first);
  const ViewSnapshot changed(MakeSnapshot(3, {{"a.yaml", "2"}, {"b", "2"}}), view, &elsewhere);
  EXPECT_EQ(first.position()->change_number, 1);
  EXPECT_EQ(elsewhere.position()->change_number, 1);
  EXPECT_EQ(elsewhere.position()->token.version, 2);
  EXPECT_EQ(changed.position()->change_number, 2);
}

TEST(ViewSnapshotTest, SmallFilesShareOneFragmentWithEverythingAboutThem) {
  const ViewSnapshot view = Of(kFiles);
  ASSERT_EQ(view.fragment_count(), 1u);
  const v1::Snapshot snapshot = Fragment(view, 0).snapshot();
  ASSERT_EQ(snapshot.files_size(), 4);
  const v1::ConfigFile& file = snapshot.files(0);
  EXPECT_EQ(file.path(), "a.yaml");
  EXPECT_EQ(file.content(), "port: 80\n");
  EXPECT_EQ(file.content_offset(), 0);
  EXPECT_EQ(file.size_bytes(), 9);
  EXPECT_EQ(file.digest(), Sha256::Of("port: 80\n").Text());
  EXPECT_EQ(file.content_type(), "application/yaml");
  EXPECT_EQ(file.last_changed_version(), 7);
  EXPECT_EQ(Reassemble(view), kFiles);
}

TEST(ViewSnapshotTest, EmptyViewIsOneFragmentWithoutFiles) {
  const ViewSnapshot nothing = Of({});
  const ViewSnapshot nothing_selected = Of(kFiles, {"nothing"});
  for (const ViewSnapshot* each : {&nothing, &nothing_selected}) {
    const ViewSnapshot& view = *each;
    ASSERT_EQ(view.fragment_count(), 1u);
    const v1::WatchResponse response = Fragment(view, 0);
    EXPECT_EQ(response.event_case(), v1::WatchResponse::kSnapshot);
    EXPECT_EQ(response.snapshot().files_size(), 0);
    EXPECT_FALSE(response.more_fragments());
  }
}

TEST(ViewSnapshotTest, EmptyFileIsAnEntryWithoutContent) {
  const ViewSnapshot view = Of({{"empty", ""}, {"other", "x"}});
  EXPECT_EQ(Reassemble(view), (Files{{"empty", ""}, {"other", "x"}}));
}

TEST(ViewSnapshotTest, GlobsThatSelectNothingAreNamedOnTheLastFragmentOnly) {
  const ViewSnapshot view = Of({{"big", Bytes(3 * kMiB)}}, {"big", "no-such", "*.yaml", "no-such"});
  ASSERT_GT(view.fragment_count(), 1u);
  Reassemble(view);
  const v1::WatchResponse last = Fragment(view, view.fragment_count() - 1);
  ASSERT_EQ(last.snapshot().missing_globs_size(), 2);
  EXPECT_EQ(last.snapshot().missing_globs(0), "*.yaml");
  EXPECT_EQ(last.snapshot().missing_globs(1), "no-such");
}

TEST(ViewSnapshotTest, LargeFileIsSplitAndComesTogetherExactly) {
  const Files files = {{"big.bin", Bytes(5 * kMiB + 12345)}};
  const ViewSnapshot view = Of(files);
  EXPECT_GE(view.fragment_count(), 6u);
  EXPECT_LE(view.fragment_count(), 7u);
  ExpectFragmentSizes(view, kMiB - kMiB / 16);
  EXPECT_EQ(Reassemble(view), files);
  // Every piece tells of the whole file.
  for (size_t i = 0; i < view.fragment_count(); ++i) {
    const v1::WatchResponse response = Fragment(view, i);
    ASSERT_EQ(response.snapshot().files_size(), 1);
    EXPECT_EQ(response.snapshot().files(0).size_bytes(), static_cast<int64_t>(5 * kMiB + 12345));
    EXPECT_EQ(response.snapshot().files(0).digest(), Sha256::Of(files.at("big.bin")).Text());
  }
}

TEST(ViewSnapshotTest, FileThatFitsAFragmentIsNeverSplit) {
  Files files;
  for (int i = 0; i < 7; ++i) {
    files[absl::StrCat("file", i)] = Bytes(700'000, static_cast<uint32_t>(i));
  }
  const ViewSnapshot view = Of(files);
  EXPECT_EQ(view.fragment_count(), 7u);
  ExpectFragmentSizes(view, 700'000);
  for (size_t i = 0; i < view.fragment_count(); ++i) {
    const v1::WatchResponse response = Fragment(view, i);
    ASSERT_EQ(response.snapshot().files_size(), 1);
    EXPECT_EQ(response.snapshot().files(0).content().size(), 700'000u);
  }
  EXPECT_EQ(Reassemble(view), files);
}

TEST(ViewSnapshotTest, FileThatFitsAFragmentIsNotSplitEvenIfMuchOfOneIsFree) {
  const Files files = {{"a", Bytes(400'000)}, {"b", Bytes(700'000)}};
  const ViewSnapshot view = Of(files);
  ASSERT_EQ(view.fragment_count(), 2u);
  EXPECT_EQ(Fragment(view, 0).snapshot().files_size(), 1);
  EXPECT_EQ(Fragment(view, 1).snapshot().files_size(), 1);
  EXPECT_TRUE(Reassemble(view) == files);
}

TEST(ViewSnapshotTest, FilesAroundTheFragmentSizeComeTogetherExactly) {
  for (const size_t near : {kMiB, 2 * kMiB}) {
    for (int off = -600; off <= 600; off += 37) {
      const size_t size = near + static_cast<size_t>(off);
      const Files files = {{"a", "first"}, {"b", Bytes(size)}, {"c", "last"}};
      const ViewSnapshot view = Of(files);
      ExpectFragmentSizes(view, 0);
      // Not EXPECT_EQ, which would print megabytes.
      EXPECT_TRUE(Reassemble(view) == files) << size;
    }
  }
}

TEST(ViewSnapshotTest, ManySmallFilesWithLongPathsStayWithinTheFragmentSize) {
  Files files;
  for (int i = 0; i < 6000; ++i) {
    files.emplace(absl::StrCat(std::string(400, 'd'), "/", i, "/", std::string(100, 'f')), "x");
  }
  files.emplace("empty", "");
  const ViewSnapshot view = Of(files);
  EXPECT_GT(view.fragment_count(), 3u) << "what counts is paths and digests, hardly content";
  ExpectFragmentSizes(view, kMiB / 2);
  EXPECT_TRUE(Reassemble(view) == files);
}

TEST(ViewSnapshotTest, LargeFileUnderTheLongestPathStaysWithinTheFragmentSize) {
  const std::string path(4095, 'p');
  const Files files = {{path, Bytes(3 * kMiB)}, {path + "2", Bytes(10)}};
  const ViewSnapshot view = Of(files);
  ExpectFragmentSizes(view, kMiB - kMiB / 16);
  EXPECT_TRUE(Reassemble(view) == files);
}

TEST(ViewSnapshotTest, EveryObjectHasAnIdentityOfItsOwn) {
  std::set<uint64_t> ids;
  for (int i = 0; i < 10; ++i) ids.insert(Of(kFiles).id());
  EXPECT_EQ(ids.size(), 10u);
}

TEST(ViewSnapshotTest, PositionBeforeTheFirstVersionTellsSourceAndEpochOnly) {
  const auto position = PositionBeforeFirst("app", kEpochA);
  v1::WatchResponse response;
  ASSERT_TRUE(response.ParseFromString(position->header));
  v1::WatchResponse expected;
  expected.mutable_header()->set_source("app");
  expected.mutable_header()->set_epoch(kEpochA);
  EXPECT_EQ(response.SerializeAsString(), expected.SerializeAsString());
  EXPECT_EQ(position->token.version, 0);
}

}  // namespace
}  // namespace confstream
