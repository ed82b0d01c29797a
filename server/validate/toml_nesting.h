// How deep a TOML file nests, found without a tree.

#ifndef CONFSTREAM_SERVER_VALIDATE_TOML_NESTING_H_
#define CONFSTREAM_SERVER_VALIDATE_TOML_NESTING_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "absl/strings/string_view.h"

namespace confstream {

// Reads a TOML text token by token, strings and comments skipped, and keeps count of the tables and
// arrays around each. toml++ bounds brackets by itself but not dotted keys, and takes a tree of any
// depth apart by recursion: `a.a.a...` of a few hundred kilobytes would end the process.
//
// Up to the first syntax error it reads what toml++ reads; what it makes of the rest is of no
// consequence, since toml++ stops there. Thread-compatible, for one text.
class TomlNesting {
 public:
  explicit TomlNesting(absl::string_view text) : text_(text) {}

  // The offset of the first bracket or dot that is nested in more than `max_nesting` tables and
  // arrays, the file's own table included; nothing if there is none. Call it once.
  std::optional<size_t> FindDeeperThan(int64_t max_nesting);

 private:
  // A bracket that is open, or the statement on the line.
  struct Level {
    bool array;     // its elements are values; otherwise keys come first
    bool in_value;  // behind the `=`
    int64_t dots;   // of the current key
  };

  bool LooksAt(absl::string_view token) const;
  // Moves behind the string that begins here.
  void SkipString();
  void SkipComment();
  // Reads `[name]` or `[[name]]` at the beginning of a statement, up to its last dot or bracket.
  std::optional<size_t> ReadHeader(int64_t max_nesting);
  // Takes the character at the current place.
  void ReadStructure(char c);
  int64_t Depth() const { return 1 + header_depth_ + inner_depth_; }

  const absl::string_view text_;
  size_t at_ = 0;
  int64_t header_depth_ = 0;  // of the table that the last header opened
  int64_t inner_depth_ = 0;   // all of levels_: brackets and dots
  bool statement_start_ = true;
  std::vector<Level> levels_ = {{false, false, 0}};
};

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_VALIDATE_TOML_NESTING_H_
