#include "client/cli/unified_diff.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>

#include "absl/strings/str_cat.h"

namespace confstream {
namespace {

using Kind = DiffLine::Kind;

std::vector<std::string> Lines(const std::string& text) {
  std::vector<std::string> lines;
  for (size_t begin = 0; begin < text.size();) {
    const size_t newline = std::min(text.find('\n', begin), text.size() - 1);
    lines.push_back(text.substr(begin, newline + 1 - begin));
    begin = newline + 1;
  }
  return lines;
}

// What patch(1) does: checks every common and removed line, and returns the text after.
std::string Apply(const std::string& before, const std::vector<DiffHunk>& hunks) {
  const std::vector<std::string> lines = Lines(before);
  std::string after;
  size_t next = 0, written = 0;
  for (const DiffHunk& hunk : hunks) {
    EXPECT_GE(hunk.before_begin, next);
    for (; next < hunk.before_begin; ++next, ++written) after += lines[next];
    EXPECT_EQ(written, hunk.after_begin);
    const size_t hunk_end = next + hunk.before_count;
    for (const DiffLine& line : hunk.lines) {
      if (line.kind != Kind::kAdded) {
        EXPECT_EQ(std::string(line.text), lines[next++]);
      }
      if (line.kind != Kind::kRemoved) {
        after += std::string(line.text);
        ++written;
      }
    }
    EXPECT_EQ(next, hunk_end);
    EXPECT_EQ(written, hunk.after_begin + hunk.after_count);
  }
  for (; next < lines.size(); ++next) after += lines[next];
  return after;
}

size_t Edits(const std::vector<DiffHunk>& hunks) {
  size_t edits = 0;
  for (const DiffHunk& hunk : hunks) {
    for (const DiffLine& line : hunk.lines) edits += line.kind != Kind::kCommon;
  }
  return edits;
}

// Insertions and removals that it takes at least, by dynamic programming.
size_t FewestEdits(const std::string& before, const std::string& after) {
  const auto a = Lines(before), b = Lines(after);
  std::vector<std::vector<size_t>> common(a.size() + 1, std::vector<size_t>(b.size() + 1, 0));
  for (size_t i = 0; i < a.size(); ++i) {
    for (size_t j = 0; j < b.size(); ++j) {
      common[i + 1][j + 1] =
          a[i] == b[j] ? common[i][j] + 1 : std::max(common[i][j + 1], common[i + 1][j]);
    }
  }
  return a.size() + b.size() - 2 * common[a.size()][b.size()];
}

TEST(UnifiedDiffTest, EqualTextsHaveNoHunks) {
  EXPECT_TRUE(Diff("", "").empty());
  EXPECT_TRUE(Diff("a\nb", "a\nb").empty());
}

TEST(UnifiedDiffTest, AChangedLineIsShownBetweenThreeCommonOnes) {
  const std::string before = "1\n2\n3\n4\n5\n6\n7\n8\n9\n",
                    after = "1\n2\n3\n4\nfive\n6\n7\n8\n9\n";
  const auto hunks = Diff(before, after);
  ASSERT_EQ(hunks.size(), 1u);
  EXPECT_EQ(hunks[0].before_begin, 1u);
  EXPECT_EQ(hunks[0].before_count, 7u);
  EXPECT_EQ(hunks[0].after_count, 7u);
  ASSERT_EQ(hunks[0].lines.size(), 8u);
  EXPECT_EQ(hunks[0].lines[3].kind, Kind::kRemoved);
  EXPECT_EQ(std::string(hunks[0].lines[4].text), "five\n");
}

TEST(UnifiedDiffTest, ChangesSixLinesApartShareAHunkAndSevenApartDoNot) {
  const auto text = [](int gap, const std::string& mark) {
    std::string lines = mark;
    for (int i = 0; i < gap; ++i) absl::StrAppend(&lines, i, "\n");
    return lines + mark;
  };
  EXPECT_EQ(Diff(text(6, "a\n"), text(6, "b\n")).size(), 1u);
  EXPECT_EQ(Diff(text(7, "a\n"), text(7, "b\n")).size(), 2u);
}

TEST(UnifiedDiffTest, AMissingNewlineAtTheEndIsAChange) {
  const auto hunks = Diff("a\nb", "a\nb\n");
  ASSERT_EQ(hunks.size(), 1u);
  EXPECT_EQ(Edits(hunks), 2u);
  EXPECT_EQ(Apply("a\nb", hunks), "a\nb\n");
}

TEST(UnifiedDiffTest, RandomTextsAreTurnedIntoOneAnotherWithFewestEdits) {
  std::mt19937 random(20260131);
  for (int round = 0; round < 3000; ++round) {
    const auto text = [&random] {
      std::string lines;
      for (size_t i = random() % 25; i > 0; --i) absl::StrAppend(&lines, random() % 4, "\n");
      if (random() % 4 == 0) lines += "end";
      return lines;
    };
    const std::string before = text(), after = text();
    const size_t context = random() % 4;
    const auto hunks = Diff(before, after, context);
    ASSERT_EQ(Apply(before, hunks), after) << before << "----\n" << after;
    ASSERT_EQ(Edits(hunks), FewestEdits(before, after)) << before << "----\n" << after;
    // Given up early, it is still right, only longer.
    ASSERT_EQ(Apply(before, Diff(before, after, context, 2)), after);
  }
}

TEST(UnifiedDiffTest, LargeTextsThatShareNothingAreReplacedWhole) {
  std::string before = "head\n", after = "head\n";
  for (int i = 0; i < 20000; ++i) {
    absl::StrAppend(&before, "old ", i, "\n");
    absl::StrAppend(&after, "new ", i, "\n");
  }
  const auto hunks = Diff(before, after);
  ASSERT_EQ(hunks.size(), 1u);
  EXPECT_EQ(Edits(hunks), 40000u);
  EXPECT_EQ(Apply(before, hunks), after);
}

}  // namespace
}  // namespace confstream
