// The regular expressions of a schema.

#ifndef CONFSTREAM_SERVER_VALIDATE_PATTERN_SET_H_
#define CONFSTREAM_SERVER_VALIDATE_PATTERN_SET_H_

#include <map>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace re2 {
class RE2;
}

namespace confstream {

// Patterns by their text, in RE2's syntax: whatever they and the texts are, matching takes time in
// the order of the text and no stack, which std::regex, as valijson's own visitor uses it, does
// not. Thread-compatible; thread-safe once all are added.
class PatternSet {
 public:
  PatternSet();
  ~PatternSet();
  PatternSet(PatternSet&&) noexcept;
  PatternSet& operator=(PatternSet&&) noexcept;

  // INVALID_ARGUMENT: RE2 cannot read it; the message says why.
  absl::Status Add(const std::string& pattern);

  // True if `pattern` matches a part of `text`. REQUIRES: it was added.
  bool Matches(const std::string& pattern, absl::string_view text) const;

 private:
  std::map<std::string, std::unique_ptr<const re2::RE2>> patterns_;
};

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_VALIDATE_PATTERN_SET_H_
