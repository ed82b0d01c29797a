// Line by line, what changed between two texts.

#ifndef CONFSTREAM_CLIENT_CLI_UNIFIED_DIFF_H_
#define CONFSTREAM_CLIENT_CLI_UNIFIED_DIFF_H_

#include <cstddef>
#include <vector>

#include "absl/strings/string_view.h"

namespace confstream {

struct DiffLine {
  enum class Kind { kCommon, kRemoved, kAdded };

  Kind kind;
  absl::string_view text;  // with its newline, if it has one; points into the text compared
};

// A run of changes with the lines around it. Line numbers are from 0.
struct DiffHunk {
  size_t before_begin = 0;
  size_t before_count = 0;
  size_t after_begin = 0;
  size_t after_count = 0;
  std::vector<DiffLine> lines;
};

// More changed lines than this between two texts, and the whole range that differs is shown as
// replaced: finding fewest changes takes time and memory by the square of their number.
inline constexpr size_t kMostDiffEdits = 2000;

// The changes from `before` to `after`, as few as possible up to `most_edits`, with up to `context`
// common lines around each. Empty if the texts are equal. The texts outlive the result.
std::vector<DiffHunk> Diff(absl::string_view before, absl::string_view after, size_t context = 3,
                           size_t most_edits = kMostDiffEdits);

}  // namespace confstream

#endif  // CONFSTREAM_CLIENT_CLI_UNIFIED_DIFF_H_
