// Globs over relative paths, as the API and the configuration use them.

#ifndef CONFSTREAM_SERVER_BASE_PATH_GLOB_H_
#define CONFSTREAM_SERVER_BASE_PATH_GLOB_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace confstream {

// One glob: `*` matches any characters but `/`, `**` any characters, `**/` at the start of a
// component also nothing, `\` makes the next character literal; every other byte stands for itself.
//
// Matching takes one step for each byte of the path and each 64 bytes of pattern begun at most,
// whatever the pattern, and none if the path is shorter than the pattern's literals together. A
// glob takes 280 bytes of memory for each such 64, at most 5 KiB. Immutable after construction, so
// thread-safe.
class PathGlob {
 public:
  static constexpr size_t kMaxBytes = 1024;

  // INVALID_ARGUMENT: empty, longer than kMaxBytes, not UTF-8, or ending in a single `\`.
  static absl::StatusOr<PathGlob> Parse(absl::string_view pattern);

  bool Matches(absl::string_view path) const;

  // The text that was parsed.
  const std::string& pattern() const { return pattern_; }

  friend bool operator==(const PathGlob& a, const PathGlob& b) { return a.pattern_ == b.pattern_; }

 private:
  // 64 states of the automaton. State i: what is before token i has been read; a state for each
  // token, and one for the end. A bit of each mask is about the token of a state.
  struct Block {
    // Literals with such a lower, and such an upper half: together they tell the byte.
    std::array<uint64_t, 16> literal_low = {};
    std::array<uint64_t, 16> literal_high = {};
    uint64_t star = 0;
    uint64_t double_star = 0;
    uint64_t double_star_slash = 0;
  };
  static constexpr size_t kMaxBlocks = kMaxBytes / 64 + 1;

  PathGlob() = default;

  void AddLiteral(char literal);
  void AddWildcard(uint64_t Block::*kind);
  Block& BlockOf(size_t state);
  // Makes `states`, one for each block, those after `c`. False: there are none.
  bool Read(char c, uint64_t* states) const;

  std::string pattern_;
  std::vector<Block> blocks_ = std::vector<Block>(1);
  size_t literals_ = 0;
  size_t end_ = 0;  // the number of tokens, and the state of a match
};

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_BASE_PATH_GLOB_H_
