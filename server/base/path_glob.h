// Globs over relative paths, as the API and the configuration use them.

#ifndef CONFSTREAM_SERVER_BASE_PATH_GLOB_H_
#define CONFSTREAM_SERVER_BASE_PATH_GLOB_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace confstream {

// One glob: `*` matches any characters but `/`, `**` any characters, `**/` at the start of a
// component also nothing,
// `\` makes the next character literal; every other byte stands for itself. Matching takes time in
// the order of pattern length times path length, whatever the pattern. Immutable after
// construction, so thread-safe.
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
  struct Token {
    enum Kind { kLiteral, kStar, kDoubleStar, kDoubleStarSlash } kind;
    char literal;
  };

  PathGlob() = default;

  std::string pattern_;
  std::vector<Token> tokens_;
};

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_BASE_PATH_GLOB_H_
