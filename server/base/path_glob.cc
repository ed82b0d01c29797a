#include "server/base/path_glob.h"

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
      glob.tokens_.push_back({Token::kLiteral, pattern[i]});
    } else if (c != '*') {
      glob.tokens_.push_back({Token::kLiteral, c});
    } else if (i + 1 >= pattern.size() || pattern[i + 1] != '*') {
      glob.tokens_.push_back({Token::kStar, 0});
    } else {
      const bool starts_component = i == 0 || pattern[i - 1] == '/';
      while (i + 1 < pattern.size() && pattern[i + 1] == '*') ++i;
      if (starts_component && i + 1 < pattern.size() && pattern[i + 1] == '/') {
        ++i;
        glob.tokens_.push_back({Token::kDoubleStarSlash, 0});
      } else {
        glob.tokens_.push_back({Token::kDoubleStar, 0});
      }
    }
  }
  return glob;
}

bool PathGlob::Matches(absl::string_view path) const {
  // The set of pattern positions that the path read so far can stand at: a simulation of the glob's
  // automaton, so no pattern makes it backtrack.
  const size_t end = tokens_.size();
  std::vector<char> here(end + 1, 0), next(end + 1, 0);
  const auto close_over_empty = [this, end](std::vector<char>* positions) {
    for (size_t i = 0; i < end; ++i) {
      if ((*positions)[i] && tokens_[i].kind != Token::kLiteral) (*positions)[i + 1] = 1;
    }
  };
  here[0] = 1;
  close_over_empty(&here);
  for (const char c : path) {
    next.assign(end + 1, 0);
    // `inside` positions of a DoubleStarSlash wait for the slash that ends a component; they are
    // kept at the token itself, which may only be left by its closure above when a component has
    // just ended.
    for (size_t i = 0; i < end; ++i) {
      if (!here[i]) continue;
      switch (tokens_[i].kind) {
        case Token::kLiteral:
          if (tokens_[i].literal == c) next[i + 1] = 1;
          break;
        case Token::kStar:
          if (c != '/') next[i] = 1;
          break;
        case Token::kDoubleStar:
          next[i] = 1;
          break;
        case Token::kDoubleStarSlash:
          next[i] = 1;
          break;
      }
    }
    for (size_t i = 0; i < end; ++i) {
      if (!next[i] || tokens_[i].kind == Token::kLiteral) continue;
      if (tokens_[i].kind == Token::kDoubleStarSlash && c != '/') continue;
      next[i + 1] = 1;
    }
    here.swap(next);
  }
  return here[end] != 0;
}

}  // namespace confstream
