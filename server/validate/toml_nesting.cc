#include "server/validate/toml_nesting.h"

#include "absl/strings/match.h"

namespace confstream {

bool TomlNesting::LooksAt(absl::string_view token) const {
  return absl::StartsWith(text_.substr(at_), token);
}

void TomlNesting::SkipString() {
  const char quote = text_[at_];
  const bool escapes = quote == '"';
  const char triple[] = {quote, quote, quote};
  const absl::string_view closing_triple(triple, 3);
  const bool multiline = LooksAt(closing_triple);
  at_ += multiline ? 3 : 1;
  while (at_ < text_.size()) {
    if (escapes && text_[at_] == '\\') {
      at_ += 2;
    } else if (multiline && LooksAt(closing_triple)) {
      at_ += 3;
      // Up to two quotes may stand right before the closing three.
      while (at_ < text_.size() && text_[at_] == quote) ++at_;
      return;
    } else if (!multiline && text_[at_] == quote) {
      ++at_;
      return;
    } else if (!multiline && text_[at_] == '\n') {
      return;  // not closed: a syntax error
    } else {
      ++at_;
    }
  }
}

void TomlNesting::SkipComment() {
  while (at_ < text_.size() && text_[at_] != '\n') ++at_;
}

std::optional<size_t> TomlNesting::ReadHeader(int64_t max_nesting) {
  header_depth_ = 0;
  while (at_ < text_.size() && text_[at_] != '\n' && text_[at_] != ']') {
    const char c = text_[at_];
    if (c == '"' || c == '\'') {
      SkipString();
      continue;
    }
    if (c == '[' || c == '.') {
      ++header_depth_;
      if (Depth() > max_nesting) return at_;
    }
    ++at_;
  }
  while (at_ < text_.size() && text_[at_] == ']') ++at_;
  return std::nullopt;
}

void TomlNesting::ReadStructure(char c) {
  Level& level = levels_.back();
  switch (c) {
    case '[':
    case '{':
      ++inner_depth_;
      levels_.push_back({c == '[', c == '[', 0});
      return;
    case ']':
    case '}':
      if (levels_.size() == 1) return;
      inner_depth_ -= 1 + level.dots;
      levels_.pop_back();
      return;
    case '=':
      level.in_value = true;
      return;
    case '.':
      if (level.in_value) return;
      ++level.dots;
      ++inner_depth_;
      return;
    case ',':
    case '\n':
      if (c == '\n' ? levels_.size() > 1 : levels_.size() == 1) return;
      inner_depth_ -= level.dots;
      level = {level.array, level.array, 0};
      return;
    default:
      return;
  }
}

std::optional<size_t> TomlNesting::FindDeeperThan(int64_t max_nesting) {
  while (at_ < text_.size()) {
    const char c = text_[at_];
    if (c == '#') {
      SkipComment();
      continue;
    }
    if (c == '"' || c == '\'') {
      statement_start_ = false;
      SkipString();
      continue;
    }
    if (c == '[' && statement_start_) {
      statement_start_ = false;
      if (const auto offset = ReadHeader(max_nesting)) return offset;
      continue;
    }
    ReadStructure(c);
    if (Depth() > max_nesting) return at_;
    const bool blank = c == ' ' || c == '\t' || c == '\r';
    if (c == '\n' && levels_.size() == 1) {
      statement_start_ = true;
    } else if (!blank) {
      statement_start_ = false;
    }
    ++at_;
  }
  return std::nullopt;
}

}  // namespace confstream
