#include "server/base/path_glob.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "server/base/text.h"

namespace confstream {

absl::StatusOr<PathGlob> PathGlob::Parse(absl::string_view pattern) {
  const std::string shown = EscapeForDisplay(pattern.substr(0, 64));
  if (pattern.empty()) {
    return absl::InvalidArgumentError("a path glob is empty: use `**` to select every file");
  }
  if (pattern.size() > kMaxBytes) {
    return absl::InvalidArgumentError(absl::StrCat("the path glob that begins with `", shown,
                                                   "` is ", pattern.size(), " bytes long: at most ",
                                                   kMaxBytes, " are allowed"));
  }
  if (!IsValidUtf8(pattern)) {
    return absl::InvalidArgumentError(absl::StrCat("path glob `", shown, "` is not valid UTF-8"));
  }
  PathGlob glob;
  glob.pattern_ = std::string(pattern);
  for (size_t i = 0; i < pattern.size(); ++i) {
    const char c = pattern[i];
    if (c == '\\') {
      if (++i == pattern.size()) {
        return absl::InvalidArgumentError(absl::StrCat(
            "path glob `", shown, "` ends in a single `\\`: write `\\\\` for a backslash"));
      }
      glob.AddLiteral(pattern[i]);
    } else if (c != '*') {
      glob.AddLiteral(c);
    } else if (i + 1 >= pattern.size() || pattern[i + 1] != '*') {
      glob.AddWildcard(&Block::star);
    } else {
      const bool starts_component = i == 0 || pattern[i - 1] == '/';
      while (i + 1 < pattern.size() && pattern[i + 1] == '*') ++i;
      if (starts_component && i + 1 < pattern.size() && pattern[i + 1] == '/') {
        ++i;
        glob.AddWildcard(&Block::double_star_slash);
      } else {
        glob.AddWildcard(&Block::double_star);
      }
    }
  }
  return glob;
}

PathGlob::Block& PathGlob::BlockOf(size_t state) {
  if (state / 64 == blocks_.size()) blocks_.emplace_back();
  return blocks_[state / 64];
}

void PathGlob::AddLiteral(char literal) {
  const auto byte = static_cast<unsigned char>(literal);
  const uint64_t bit = uint64_t{1} << end_ % 64;
  Block& block = BlockOf(end_);
  block.literal_low[byte % 16] |= bit;
  block.literal_high[byte / 16] |= bit;
  ++literals_;
  BlockOf(++end_);
}

void PathGlob::AddWildcard(uint64_t Block::*kind) {
  if (kind != &Block::star && end_ > 0) {
    // `**/**/` is `**/`, and `**/**` is `**`. So only a `**/` has another wildcard right after it,
    // and only one.
    const uint64_t last = uint64_t{1} << (end_ - 1) % 64;
    uint64_t& before = BlockOf(end_ - 1).double_star_slash;
    if ((before & last) != 0) {
      before &= ~last;
      --end_;
    }
  }
  BlockOf(end_).*kind |= uint64_t{1} << end_ % 64;
  BlockOf(++end_);
}

bool PathGlob::Matches(absl::string_view path) const {
  if (path.size() < literals_) return false;
  std::array<uint64_t, kMaxBlocks> states;
  std::fill_n(states.begin(), blocks_.size(), 0);
  // The beginning, and what a wildcard there that matches nothing leads to.
  const Block& first = blocks_[0];
  states[0] = 1;
  states[0] |= (states[0] & first.double_star_slash) << 1;
  states[0] |= (states[0] & (first.star | first.double_star)) << 1;
  for (const char c : path) {
    if (!Read(c, states.data())) return false;
  }
  return (states[end_ / 64] >> end_ % 64 & 1) != 0;
}

bool PathGlob::Read(char c, uint64_t* states) const {
  const auto byte = static_cast<unsigned char>(c);
  const uint64_t if_slash = c == '/' ? ~uint64_t{0} : 0;
  uint64_t any = 0;
  // What a block's last state hands to the next block's first.
  uint64_t from_literal = 0;
  uint64_t from_slash = 0;
  uint64_t from_star = 0;
  for (const Block& block : blocks_) {
    const uint64_t here = *states;
    // A literal is left by its byte; a wildcard goes on.
    const uint64_t read = here & block.literal_low[byte % 16] & block.literal_high[byte / 16];
    uint64_t next = read << 1 | from_literal;
    next |= here & ((block.star & ~if_slash) | block.double_star | block.double_star_slash);
    // A wildcard may also end here: `**/` with a component, and then one after it too.
    const uint64_t slash = next & block.double_star_slash & if_slash;
    next |= slash << 1 | from_slash;
    const uint64_t star = next & (block.star | block.double_star);
    next |= star << 1 | from_star;
    from_literal = read >> 63;
    from_slash = slash >> 63;
    from_star = star >> 63;
    any |= next;
    *states++ = next;
  }
  return any != 0;
}

}  // namespace confstream
