#include "server/watch/inotify_event_source.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "tests/fakes/files.h"
#include "tests/fakes/temporary_directory.h"

namespace confstream {
namespace {

class InotifyEventSourceTest : public testing::Test {
 protected:
  bool Saw(const std::vector<WatchEvent>& events, WatchEvent::Kind kind, const std::string& name) {
    for (const WatchEvent& event : events) {
      if (event.kind == kind && event.name == name) return true;
    }
    return false;
  }

  TemporaryDirectory directory_;
  InotifyEventSource events_;
};

TEST_F(InotifyEventSourceTest, EntriesInterestTellsNothingOfContents) {
  const auto watch = events_.Watch(directory_.path(), WatchInterest::kEntries);
  ASSERT_TRUE(watch.ok());
  WriteFile(directory_.Path("a"), "x");
  const auto events = events_.Drain();
  EXPECT_TRUE(Saw(events, WatchEvent::kCreated, "a"));
  EXPECT_FALSE(Saw(events, WatchEvent::kModified, "a"));
  EXPECT_FALSE(Saw(events, WatchEvent::kClosedAfterWrite, "a"));
}

TEST_F(InotifyEventSourceTest, SecondWatchOfADirectoryWidensTheFirst) {
  const auto entries = events_.Watch(directory_.path(), WatchInterest::kEntries);
  const auto contents = events_.Watch(directory_.path(), WatchInterest::kContents);
  ASSERT_TRUE(entries.ok() && contents.ok());
  EXPECT_EQ(*entries, *contents);
  // And a narrow one does not narrow it again.
  ASSERT_TRUE(events_.Watch(directory_.path(), WatchInterest::kEntries).ok());
  WriteFile(directory_.Path("a"), "x");
  EXPECT_TRUE(Saw(events_.Drain(), WatchEvent::kModified, "a"));
}

TEST_F(InotifyEventSourceTest, UnwatchingOnePathLeavesTheOtherOfTheSameDirectory) {
  std::filesystem::create_directories(directory_.Path("real"));
  const auto first = events_.Watch(directory_.Path("real"), WatchInterest::kEntries);
  const auto second = events_.Watch(directory_.Path("real/../real"), WatchInterest::kEntries);
  ASSERT_EQ(*first, *second);
  events_.Unwatch(*first);
  WriteFile(directory_.Path("real/a"), "");
  EXPECT_TRUE(Saw(events_.Drain(), WatchEvent::kCreated, "a"));
  events_.Unwatch(*second);
  WriteFile(directory_.Path("real/b"), "");
  EXPECT_TRUE(events_.Drain().empty());
}

TEST_F(InotifyEventSourceTest, EventsOfAWatchNoLongerHeldAreDropped) {
  std::filesystem::create_directories(directory_.Path("old"));
  const auto watch = events_.Watch(directory_.Path("old"), WatchInterest::kContents);
  WriteFile(directory_.Path("old/a"), "");
  events_.Unwatch(*watch);
  EXPECT_TRUE(events_.Drain().empty());
}

TEST_F(InotifyEventSourceTest, RemovedDirectoryEndsItsWatchAndMayBeWatchedAnew) {
  std::filesystem::create_directories(directory_.Path("d"));
  const auto watch = events_.Watch(directory_.Path("d"), WatchInterest::kEntries);
  std::filesystem::remove(directory_.Path("d"));
  EXPECT_TRUE(Saw(events_.Drain(), WatchEvent::kWatchEnded, ""));
  events_.Unwatch(*watch);
  std::filesystem::create_directories(directory_.Path("d"));
  ASSERT_TRUE(events_.Watch(directory_.Path("d"), WatchInterest::kEntries).ok());
  WriteFile(directory_.Path("d/a"), "");
  EXPECT_TRUE(Saw(events_.Drain(), WatchEvent::kCreated, "a"));
}

TEST_F(InotifyEventSourceTest, MissingDirectoryAndLinkAreRefused) {
  EXPECT_EQ(events_.Watch(directory_.Path("none"), WatchInterest::kEntries).status().code(),
            absl::StatusCode::kNotFound);
  MakeLink(".", directory_.Path("link"));
  EXPECT_FALSE(events_.Watch(directory_.Path("link"), WatchInterest::kEntries).ok());
}

TEST_F(InotifyEventSourceTest, UnreadableDirectoryIsRefusedForPermission) {
  std::filesystem::create_directories(directory_.Path("secret"));
  std::filesystem::permissions(directory_.Path("secret"), std::filesystem::perms::owner_exec);
  const auto watch = events_.Watch(directory_.Path("secret"), WatchInterest::kEntries);
  EXPECT_EQ(watch.status().code(), absl::StatusCode::kPermissionDenied);  // not as root
}

}  // namespace
}  // namespace confstream
