#include "server/snapshot/source_journal.h"

#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "server/base/clock.h"

namespace confstream {
namespace {

TEST(SourceJournalTest, EventsComeOldestFirstAndTheSameOnesInARowAreCounted) {
  const SystemClock clock;
  SourceJournal journal(&clock);
  journal.Note(SourceEvent::kHint, "written to: a");
  journal.Note(SourceEvent::kHint, "written to: a");
  journal.Note(SourceEvent::kVersion, "published", 7);
  journal.Note(SourceEvent::kHint, "written to: a");
  const std::vector<SourceEvent> events = journal.Events();
  ASSERT_EQ(events.size(), 3u);
  EXPECT_EQ(events[0].count, 2);
  EXPECT_EQ(events[1].version, 7);
  EXPECT_EQ(events[1].kind, SourceEvent::kVersion);
  EXPECT_EQ(events[2].count, 1);
}

TEST(SourceJournalTest, OnlyTheLastEventsAreKeptAndNoneIsLong) {
  const SystemClock clock;
  SourceJournal journal(&clock);
  for (int i = 0; i < 2000; ++i) {
    journal.Note(SourceEvent::kHint, absl::StrCat(i, "\n", std::string(10000, 'x')));
  }
  const std::vector<SourceEvent> events = journal.Events();
  ASSERT_EQ(events.size(), SourceJournal::kMaxEvents);
  EXPECT_EQ(events.back().detail.substr(0, 6), "1999\\n");
  EXPECT_LE(events.back().detail.size(), SourceJournal::kMaxDetailBytes + 1);
}

TEST(SourceJournalsTest, ASourceThatIsAddedAgainGoesOnWithItsJournal) {
  const SystemClock clock;
  SourceJournals journals(&clock);
  journals.Of("a")->Note(SourceEvent::kHint, "x");
  EXPECT_EQ(journals.Of("a")->Events().size(), 1u);
  EXPECT_EQ(journals.Of("b")->Events().size(), 0u);
}

}  // namespace
}  // namespace confstream
