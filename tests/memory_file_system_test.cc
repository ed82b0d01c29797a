#include "tests/fakes/memory_file_system.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "server/base/link_resolver.h"
#include "server/base/source_tree.h"
#include "tests/fakes/temporary_directory.h"

namespace confstream {
namespace {

using ::testing::ElementsAre;

// What a listing found, in words, in no order.
std::multiset<std::string> Listed(FileSystem* file_system, const std::string& path) {
  const ResolvedPath resolved = LinkResolver(file_system).ResolveSource(path, false);
  if (!resolved.status.ok()) return {absl::StatusCodeToString(resolved.status.code())};
  TreeRules rules;
  rules.max_files = 100;
  rules.max_depth = 10;
  const auto tree = ListSourceTree(file_system, resolved, rules);
  EXPECT_TRUE(tree.ok()) << tree.status();
  std::multiset<std::string> listed;
  for (const TreeFile& file : tree->files) listed.insert(file.path);
  for (const TreeRefusal& refusal : tree->refusals) {
    listed.insert(absl::StrCat(refusal.path, ": ", refusal.rule));
  }
  return listed;
}

TEST(MemoryFileSystemTest, ATreeIsListedAsOnDisk) {
  const TemporaryDirectory disk;
  MemoryFileSystem memory;
  const auto file = [&](const std::string& path) {
    std::filesystem::create_directories(std::filesystem::path(disk.Path(path)).parent_path());
    std::ofstream(disk.Path(path)) << "content";
    EXPECT_TRUE(memory.AddFile(disk.Path(path), "content"));
  };
  const auto link = [&](const std::string& path, const std::string& text) {
    std::filesystem::create_symlink(text, disk.Path(path));
    EXPECT_TRUE(memory.AddLink(disk.Path(path), text));
  };
  file("source/a");
  file("source/dir/b");
  file("outside/c");
  link("source/to-a", "dir/../a");
  link("source/to-dir", disk.Path("source/dir"));
  link("source/out", "../outside/c");
  link("source/self", ".");
  link("source/circle", "circle");
  link("source/below-file", "a/b");
  for (const std::string path : {"source", "source/dir", "source/to-a", "source/circle", "none"}) {
    PosixFileSystem posix;
    EXPECT_EQ(Listed(&memory, disk.Path(path)), Listed(&posix, disk.Path(path))) << path;
  }
  EXPECT_THAT(Listed(&memory, disk.Path("source/to-dir")), ElementsAre("b"));
}

// What a look at an entry says, in words: of the entry itself, whether it is opened or not.
std::string Stated(FileSystem* file_system, const std::string& path, const std::string& name) {
  const ResolvedPath directory = LinkResolver(file_system).Resolve(path);
  const auto stat = file_system->StatEntry(directory.target_fd->get(), name);
  const auto entry = file_system->OpenEntry(directory.target_fd->get(), name);
  EXPECT_EQ(stat.status().code(), entry.status().code()) << name;
  if (!stat.ok()) return absl::StatusCodeToString(stat.status().code());
  EXPECT_EQ(*stat, *file_system->Stat(entry->get())) << name;
  return absl::StrCat(static_cast<int>(stat->kind), " ",
                      stat->kind == FileKind::kDirectory ? 0 : stat->size_bytes);
}

TEST(MemoryFileSystemTest, AnEntryIsLookedAtAsOnDisk) {
  const TemporaryDirectory disk;
  MemoryFileSystem memory;
  PosixFileSystem posix;
  std::filesystem::create_directories(disk.Path("dir"));
  std::ofstream(disk.Path("file")) << "content";
  std::filesystem::create_symlink("file", disk.Path("link"));
  EXPECT_TRUE(memory.AddDirectory(disk.Path("dir")));
  EXPECT_TRUE(memory.AddFile(disk.Path("file"), "content"));
  EXPECT_TRUE(memory.AddLink(disk.Path("link"), "file"));
  EXPECT_EQ(Stated(&posix, disk.path(), "file"), "0 7");
  EXPECT_EQ(Stated(&posix, disk.path(), "link"), "2 4");
  for (const std::string name : {"dir", "file", "link", "none"}) {
    EXPECT_EQ(Stated(&memory, disk.path(), name), Stated(&posix, disk.path(), name));
  }
  EXPECT_EQ(Stated(&memory, disk.path(), std::string(300, 'x')),
            Stated(&posix, disk.path(), std::string(300, 'x')));
}

TEST(MemoryFileSystemTest, WhatIsInTheWayIsNotReplaced) {
  MemoryFileSystem memory;
  EXPECT_TRUE(memory.AddFile("/a/b", ""));
  EXPECT_FALSE(memory.AddFile("/a/b", ""));
  EXPECT_FALSE(memory.AddDirectory("/a"));
  EXPECT_FALSE(memory.AddLink("/a/b/c", "x"));
  EXPECT_FALSE(memory.AddDevice("/a/.."));
}

}  // namespace
}  // namespace confstream
