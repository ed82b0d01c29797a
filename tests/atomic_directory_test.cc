#include "client/cpp/atomic_directory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <map>

#include "client/cpp/file_paths.h"
#include "tests/fakes/files.h"
#include "tests/fakes/kubelet_volume.h"
#include "tests/fakes/temporary_directory.h"

namespace confstream {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

using Files = std::map<std::string, std::string>;

std::vector<ReceivedFile> Received(const Files& files) {
  std::vector<ReceivedFile> received;
  for (const auto& [path, content] : files) {
    ReceivedFile file;
    file.path = path;
    file.content = std::make_shared<const std::string>(content);
    file.digest = Sha256::Of(content);
    received.push_back(std::move(file));
  }
  return received;
}

std::string ReadFile(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

// All files below `directory`, resolved once; nothing if it changed underneath.
Files FilesBelow(const fs::path& directory) {
  Files files;
  std::error_code error;
  for (fs::recursive_directory_iterator it(directory, error), end; !error && it != end;
       it.increment(error)) {
    if (it->is_regular_file(error)) {
      files[it->path().lexically_relative(directory).string()] = ReadFile(it->path());
    }
  }
  return error ? Files() : files;
}

class AtomicDirectoryTest : public ::testing::Test {
 protected:
  std::unique_ptr<AtomicDirectory> Open(mode_t mode = 0644) {
    auto opened = AtomicDirectory::Open(path_, mode);
    EXPECT_TRUE(opened.ok()) << opened.status();
    return opened.ok() ? *std::move(opened) : nullptr;
  }

  // What a reader sees who resolves `..data` once.
  Files Seen() const { return FilesBelow(fs::path(path_) / fs::read_symlink(path_ + "/..data")); }

  std::vector<std::string> Names() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(path_)) {
      names.push_back(entry.path().filename().string());
    }
    return names;
  }

  TemporaryDirectory temporary_;
  const std::string path_ = temporary_.Path("target");
};

TEST_F(AtomicDirectoryTest, MakesTheVolumeThatKubeletMakes) {
  const auto directory = Open();
  const auto replaced =
      directory->Replace(Received({{"app.yaml", "a: 1\n"}, {"sub/x/b", ""}, {"sub/c", "c"}}));
  ASSERT_TRUE(replaced.ok()) << replaced.status();
  EXPECT_TRUE(*replaced);
  EXPECT_THAT(Seen(), UnorderedElementsAre(Pair("app.yaml", "a: 1\n"), Pair("sub/x/b", ""),
                                           Pair("sub/c", "c")));
  EXPECT_EQ(fs::read_symlink(path_ + "/app.yaml"), "..data/app.yaml");
  EXPECT_EQ(fs::read_symlink(path_ + "/sub"), "..data/sub");
  EXPECT_EQ(ReadFile(path_ + "/sub/c"), "c");
  const std::string generation = fs::read_symlink(path_ + "/..data").string();
  EXPECT_THAT(Names(), UnorderedElementsAre("..data", generation, "app.yaml", "sub"));
  EXPECT_EQ(fs::status(path_ + "/" + generation).permissions(), fs::perms(0755));
  EXPECT_EQ(fs::status(path_ + "/app.yaml").permissions(), fs::perms(0644));
}

TEST_F(AtomicDirectoryTest, ChangesRemoveLinksAndTheOldGeneration) {
  const auto directory = Open();
  ASSERT_TRUE(directory->Replace(Received({{"a", "1"}, {"old", "1"}})).ok());
  const std::string first = fs::read_symlink(path_ + "/..data").string();
  ASSERT_TRUE(directory->Replace(Received({{"a", "2"}, {"new", "2"}})).ok());
  const std::string second = fs::read_symlink(path_ + "/..data").string();
  EXPECT_NE(first, second);
  EXPECT_THAT(Names(), UnorderedElementsAre("..data", second, "a", "new"));
  ASSERT_TRUE(directory->Replace({}).ok());
  EXPECT_THAT(Names(), SizeIs(2)) << "no files: `..data` to an empty directory";
  EXPECT_THAT(Seen(), IsEmpty());
}

TEST_F(AtomicDirectoryTest, EqualContentChangesNothingAndOtherPermissionsDo) {
  const Files files = {{"a", "1"}, {"b/c", "2"}};
  {
    const auto directory = Open();
    ASSERT_TRUE(*directory->Replace(Received(files)));
    EXPECT_FALSE(*directory->Replace(Received(files)));
  }
  const fs::path generation = fs::read_symlink(path_ + "/..data");
  EXPECT_FALSE(*Open()->Replace(Received(files))) << "nor after a restart";
  EXPECT_EQ(fs::read_symlink(path_ + "/..data"), generation);
  EXPECT_TRUE(*Open(0600)->Replace(Received(files)));
  EXPECT_EQ(fs::status(path_ + "/b/c").permissions(), fs::perms(0600));
  WriteFile(path_ + "/..data/a", "edited in place");
  EXPECT_TRUE(*Open(0600)->Replace(Received(files)));
  EXPECT_EQ(ReadFile(path_ + "/a"), "1");
  EXPECT_FALSE(*Open(0600)->Replace(Received(files)));
  WriteFile(path_ + "/..data/more", "added in place");
  EXPECT_TRUE(*Open(0600)->Replace(Received(files)));
}

TEST_F(AtomicDirectoryTest, PermissionsDoNotDependOnUmask) {
  const mode_t before = umask(0077);
  const auto replaced = Open()->Replace(Received({{"d/a", "1"}}));
  umask(before);
  ASSERT_TRUE(replaced.ok());
  EXPECT_EQ(fs::status(path_ + "/d").permissions(), fs::perms(0755));
  EXPECT_EQ(fs::status(path_ + "/d/a").permissions(), fs::perms(0644));
}

TEST_F(AtomicDirectoryTest, WhatAKilledRunLeftIsClearedAway) {
  ASSERT_TRUE(Open()->Replace(Received({{"a", "1"}, {"b", "1"}})).ok());
  const std::string generation = fs::read_symlink(path_ + "/..data").string();
  const std::string torn = "..2026_01_31_10_00_00.confstream-torn";
  WriteFile(path_ + "/" + torn + "/sub/a", "half");
  fs::create_symlink(torn, path_ + "/..data_tmp");
  fs::create_symlink("..data/gone", path_ + "/gone");  // a key of the generation before
  fs::remove(path_ + "/b");                            // its link was not made yet
  const auto directory = Open();
  EXPECT_THAT(Names(), UnorderedElementsAre("..data", generation, "a", "b"));
  EXPECT_THAT(Seen(), UnorderedElementsAre(Pair("a", "1"), Pair("b", "1")));
}

TEST_F(AtomicDirectoryTest, WhatIsNotItsOwnIsRefusedAndLeftAlone) {
  const std::map<std::string, std::function<void(const std::string&)>> foreign = {
      {"notes.txt", [](const std::string& path) { WriteFile(path, "mine"); }},
      {"..2026_01_31_10_00_00.123456789",
       [](const std::string& path) { fs::create_directory(path); }},
      {"link", [](const std::string& path) { fs::create_symlink("elsewhere", path); }},
      {"directory", [](const std::string& path) { fs::create_directory(path); }},
      {"..data", [](const std::string& path) { fs::create_directory(path); }},
  };
  for (const auto& [name, make] : foreign) {
    fs::create_directory(path_);
    make(path_ + "/" + name);
    const auto opened = AtomicDirectory::Open(path_);
    EXPECT_EQ(opened.status().code(), absl::StatusCode::kFailedPrecondition) << name;
    EXPECT_THAT(std::string(opened.status().message()),
                AllOf(HasSubstr(path_), HasSubstr("`" + name + "`"), HasSubstr("empty directory")));
    EXPECT_THAT(Names(), ElementsAre(name));
    fs::remove_all(path_);
  }
}

TEST_F(AtomicDirectoryTest, AVolumeOfKubeletIsNotTakenOver) {
  KubeletVolume volume(path_);
  volume.Swap({{"a", "1"}});
  EXPECT_EQ(AtomicDirectory::Open(path_).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(ReadFile(path_ + "/a"), "1");
}

TEST_F(AtomicDirectoryTest, SomethingForeignThatComesLaterKeepsTheOldGeneration) {
  const auto directory = Open();
  ASSERT_TRUE(directory->Replace(Received({{"a", "1"}})).ok());
  WriteFile(path_ + "/b", "mine");
  const auto replaced = directory->Replace(Received({{"a", "2"}, {"b", "2"}}));
  EXPECT_EQ(replaced.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(Seen(), ElementsAre(Pair("a", "1")));
  EXPECT_EQ(ReadFile(path_ + "/b"), "mine");
  fs::remove(path_ + "/b");
  EXPECT_TRUE(*directory->Replace(Received({{"a", "2"}, {"b", "2"}})));
}

TEST_F(AtomicDirectoryTest, OneProcessAtATime) {
  const auto directory = Open();
  const auto second = AtomicDirectory::Open(path_);
  EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(second.status().message()), HasSubstr("another process keeps"));
}

TEST_F(AtomicDirectoryTest, AFailureWhileWritingKeepsTheOldGenerationAndLeavesNothing) {
  const auto directory = Open();
  ASSERT_TRUE(directory->Replace(Received({{"a", "1"}})).ok());
  const std::string too_long(300, 'x');
  const auto replaced = directory->Replace(Received({{"a", "2"}, {"sub/" + too_long, "2"}}));
  EXPECT_FALSE(replaced.ok());
  EXPECT_THAT(std::string(replaced.status().message()), HasSubstr(path_));
  EXPECT_THAT(Seen(), ElementsAre(Pair("a", "1")));
  EXPECT_THAT(Names(), SizeIs(3)) << "the new generation is gone";
}

TEST(FilePathsTest, RefusesWhatCannotBeFilesOfOneDirectory) {
  for (const std::string& path :
       {std::string(""), std::string("/etc/passwd"), std::string("a//b"), std::string("a/"),
        std::string("."), std::string("a/./b"), std::string(".."), std::string("../x"),
        std::string("a/../b"), std::string("..data"), std::string("..data/x"), std::string("a/..b"),
        std::string("a\nb"), std::string("a\0b", 3), std::string("\xff")}) {
    const absl::Status status = CheckFilePaths(Received({{"fine", ""}, {path, ""}}));
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << path;
  }
  const absl::Status both = CheckFilePaths(Received({{"a", ""}, {"a.b", ""}, {"a/b/c", ""}}));
  EXPECT_EQ(both.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(both.message()), HasSubstr("`a` is a file, too"));
  std::vector<ReceivedFile> twice = Received({{"a", ""}});
  twice.push_back(twice.front());
  EXPECT_EQ(CheckFilePaths(twice).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(CheckFilePaths(Received({{"a", ""}, {"b/a", ""}, {"b/.x", ""}, {"b.", ""}})).ok());
}

TEST_F(AtomicDirectoryTest, RefusedPathsChangeNothing) {
  const auto directory = Open();
  ASSERT_TRUE(directory->Replace(Received({{"a", "1"}})).ok());
  EXPECT_EQ(directory->Replace(Received({{"a", "2"}, {"a/b", "2"}})).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(Seen(), ElementsAre(Pair("a", "1")));
}

}  // namespace
}  // namespace confstream
