#include "server/snapshot/snapshot_diff.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"

namespace confstream {
namespace {

std::vector<SnapshotFile> Files(const std::map<std::string, std::string>& contents) {
  std::vector<SnapshotFile> files;
  for (const auto& [path, bytes] : contents) {
    files.push_back(
        {path, std::make_shared<const FileContent>(FileContent{bytes, Sha256::Of(bytes)}), 1});
  }
  return files;
}

// A line for each difference: the path, and what each side has.
std::string Told(const std::map<std::string, std::string>& from,
                 const std::map<std::string, std::string>& to) {
  const std::vector<SnapshotFile> a = Files(from);
  const std::vector<SnapshotFile> b = Files(to);
  const auto bytes = [](const SnapshotFile* file) {
    return file == nullptr ? std::string("-") : file->content->bytes;
  };
  std::string text;
  for (const FileDifference& difference : DiffFiles(a, b)) {
    absl::StrAppend(&text, difference.path(), " ", bytes(difference.from), " ",
                    bytes(difference.to), "\n");
  }
  return text;
}

TEST(SnapshotDiffTest, EqualListsHaveNoDifference) {
  EXPECT_EQ(Told({}, {}), "");
  EXPECT_EQ(Told({{"a", "1"}, {"b", "2"}}, {{"a", "1"}, {"b", "2"}}), "");
}

TEST(SnapshotDiffTest, AddedChangedAndRemovedFilesComeInOrderOfPaths) {
  EXPECT_EQ(Told({{"b", "1"}, {"c", "same"}, {"d", "1"}, {"f", "1"}},
                 {{"a", "2"}, {"b", "2"}, {"c", "same"}, {"e", "2"}}),
            "a - 2\nb 1 2\nd 1 -\ne - 2\nf 1 -\n");
}

TEST(SnapshotDiffTest, EverythingIsNewOrGoneBesideAnEmptyList) {
  EXPECT_EQ(Told({}, {{"a", "1"}, {"b", "2"}}), "a - 1\nb - 2\n");
  EXPECT_EQ(Told({{"a", "1"}, {"b", "2"}}, {}), "a 1 -\nb 2 -\n");
}

TEST(SnapshotDiffTest, ARenamedFileIsGoneAndNew) {
  EXPECT_EQ(Told({{"old", "1"}}, {{"new", "1"}}), "new - 1\nold 1 -\n");
}

}  // namespace
}  // namespace confstream
