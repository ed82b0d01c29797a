#include "client/cli/unified_diff.h"

#include <algorithm>
#include <cstdint>
#include <utility>

namespace confstream {
namespace {

using Kind = DiffLine::Kind;
using Lines = std::vector<absl::string_view>;

Lines SplitLines(absl::string_view text) {
  Lines lines;
  while (!text.empty()) {
    const size_t newline = text.find('\n');
    const size_t length = newline == absl::string_view::npos ? text.size() : newline + 1;
    lines.push_back(text.substr(0, length));
    text.remove_prefix(length);
  }
  return lines;
}

// The range [begin, before_end) against [begin, after_end): what is left without the common head
// and tail of two texts.
struct Middle {
  size_t begin;
  size_t before_end;
  size_t after_end;
};

Middle TrimCommon(const Lines& before, const Lines& after) {
  Middle middle{0, before.size(), after.size()};
  while (middle.begin < middle.before_end && middle.begin < middle.after_end &&
         before[middle.begin] == after[middle.begin]) {
    ++middle.begin;
  }
  while (middle.before_end > middle.begin && middle.after_end > middle.begin &&
         before[middle.before_end - 1] == after[middle.after_end - 1]) {
    --middle.before_end;
    --middle.after_end;
  }
  return middle;
}

// E. Myers, "An O(ND) Difference Algorithm and Its Variations", 1986, the greedy form. On diagonal
// k = x - y, furthest[k] is the greatest x that d edits reach; one row is kept for each d, to walk
// back along. Returns the kinds of all lines in order, or nothing if it takes more than `most`.
std::vector<Kind> FewestEdits(const Lines& before, const Lines& after, const Middle& middle,
                              size_t most) {
  const int64_t n = static_cast<int64_t>(middle.before_end - middle.begin);
  const int64_t m = static_cast<int64_t>(middle.after_end - middle.begin);
  const int64_t bound = std::min(n + m, static_cast<int64_t>(most));
  const auto equal = [&](int64_t x, int64_t y) {
    return before[middle.begin + static_cast<size_t>(x)] ==
           after[middle.begin + static_cast<size_t>(y)];
  };

  constexpr int32_t kDeadEnd = INT32_MIN / 2;  // a diagonal that left the texts
  std::vector<std::vector<int32_t>> rows;      // rows[d][k + d], for k = -d .. d
  const auto reached = [&rows](int64_t d, int64_t k) -> int64_t {
    return k < -d || k > d ? kDeadEnd : rows[static_cast<size_t>(d)][static_cast<size_t>(k + d)];
  };
  // True if the d-th edit on diagonal k inserts a line, false if it removes one.
  const auto inserts = [&](int64_t d, int64_t k) {
    return k == -d || (k != d && reached(d - 1, k - 1) < reached(d - 1, k + 1));
  };
  bool found = false;
  for (int64_t d = 0; d <= bound && !found; ++d) {
    rows.emplace_back(static_cast<size_t>(2 * d + 1), kDeadEnd);
    for (int64_t k = -d; k <= d && !found; k += 2) {
      int64_t x = 0;
      if (d > 0) x = inserts(d, k) ? reached(d - 1, k + 1) : reached(d - 1, k - 1) + 1;
      if (x < 0 || x > n || x - k > m) continue;
      while (x < n && x - k < m && equal(x, x - k)) ++x;
      rows.back()[static_cast<size_t>(k + d)] = static_cast<int32_t>(x);
      found = x == n && x - k == m;
    }
  }
  if (!found) return {};

  std::vector<Kind> backwards;
  int64_t x = n, y = m;
  for (int64_t d = static_cast<int64_t>(rows.size()) - 1; d > 0; --d) {
    const int64_t k = x - y;
    const bool insert = inserts(d, k);
    const int64_t from_x = insert ? reached(d - 1, k + 1) : reached(d - 1, k - 1);
    const int64_t from_y = insert ? from_x - (k + 1) : from_x - (k - 1);
    const int64_t common = insert ? x - from_x : x - from_x - 1;
    backwards.insert(backwards.end(), static_cast<size_t>(common), Kind::kCommon);
    backwards.push_back(insert ? Kind::kAdded : Kind::kRemoved);
    x = from_x;
    y = from_y;
  }
  backwards.insert(backwards.end(), static_cast<size_t>(x), Kind::kCommon);
  return std::vector<Kind>(backwards.rbegin(), backwards.rend());
}

std::vector<Kind> AllEdits(const Lines& before, const Lines& after, size_t most) {
  const Middle middle = TrimCommon(before, after);
  std::vector<Kind> kinds(middle.begin, Kind::kCommon);
  const std::vector<Kind> few = FewestEdits(before, after, middle, most);
  if (few.empty()) {
    kinds.insert(kinds.end(), middle.before_end - middle.begin, Kind::kRemoved);
    kinds.insert(kinds.end(), middle.after_end - middle.begin, Kind::kAdded);
  } else {
    kinds.insert(kinds.end(), few.begin(), few.end());
  }
  kinds.insert(kinds.end(), before.size() - middle.before_end, Kind::kCommon);
  return kinds;
}

}  // namespace

std::vector<DiffHunk> Diff(absl::string_view before_text, absl::string_view after_text,
                           size_t context, size_t most_edits) {
  if (before_text == after_text) return {};
  const Lines before = SplitLines(before_text);
  const Lines after = SplitLines(after_text);
  const std::vector<Kind> kinds = AllEdits(before, after, most_edits);

  std::vector<DiffHunk> hunks;
  size_t x = 0, y = 0;             // the next line of each text
  size_t since_change = SIZE_MAX;  // common lines at the end of the open hunk; SIZE_MAX: none open
  for (const Kind kind : kinds) {
    if (kind != Kind::kCommon && since_change == SIZE_MAX) {
      DiffHunk hunk;
      // The common lines before it, but for those that the hunk before has shown already.
      const size_t shown =
          hunks.empty() ? 0 : hunks.back().before_begin + hunks.back().before_count;
      const size_t lead = std::min(context, x - shown);
      hunk.before_begin = x - lead;
      hunk.after_begin = y - lead;
      hunk.before_count = hunk.after_count = lead;
      for (size_t i = lead; i > 0; --i) hunk.lines.push_back({Kind::kCommon, before[x - i]});
      // Hunks that touch are one.
      if (!hunks.empty() && hunk.before_begin == shown) {
        DiffHunk& last = hunks.back();
        last.before_count += lead;
        last.after_count += lead;
        last.lines.insert(last.lines.end(), hunk.lines.begin(), hunk.lines.end());
      } else {
        hunks.push_back(std::move(hunk));
      }
    }
    if (kind != Kind::kCommon) {
      since_change = 0;
    } else if (since_change != SIZE_MAX && ++since_change > context) {
      since_change = SIZE_MAX;
    }
    const bool open = since_change != SIZE_MAX;
    if (open) {
      hunks.back().lines.push_back({kind, kind == Kind::kAdded ? after[y] : before[x]});
      if (kind != Kind::kAdded) ++hunks.back().before_count;
      if (kind != Kind::kRemoved) ++hunks.back().after_count;
    }
    if (kind != Kind::kAdded) ++x;
    if (kind != Kind::kRemoved) ++y;
  }
  return hunks;
}

}  // namespace confstream
