// Path globs against the words of path_glob.h taken literally. The input: a pattern, and paths, one
// a line.

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_split.h"
#include "server/base/path_glob.h"
#include "tests/fuzz/fuzzing.h"

namespace confstream {
namespace {

// Tries every way to match, and remembers what it has tried.
class NaiveMatcher {
 public:
  NaiveMatcher(absl::string_view pattern, absl::string_view path)
      : pattern_(pattern), path_(path) {}

  bool Matches() { return From(0, 0); }

 private:
  bool From(size_t at, size_t in_path) {
    const auto known = known_.find({at, in_path});
    if (known != known_.end()) return known->second;
    const bool matches = Try(at, in_path);
    known_[{at, in_path}] = matches;
    return matches;
  }

  bool Try(size_t at, size_t in_path) {
    if (at == pattern_.size()) return in_path == path_.size();
    if (pattern_[at] != '*') {
      const bool escaped = pattern_[at] == '\\';
      const size_t next = at + (escaped ? 2 : 1);
      return in_path < path_.size() && path_[in_path] == pattern_[next - 1] &&
             From(next, in_path + 1);
    }
    size_t stars = at;
    while (stars < pattern_.size() && pattern_[stars] == '*') ++stars;
    if (stars - at == 1) return AnyTail(stars, in_path, '/');
    const bool begins_component = at == 0 || pattern_[at - 1] == '/';
    if (!begins_component || stars == pattern_.size() || pattern_[stars] != '/') {
      return AnyTail(stars, in_path, std::string::npos);
    }
    // `**/`: nothing, or whole components.
    if (From(stars + 1, in_path)) return true;
    for (size_t i = in_path; i < path_.size(); ++i) {
      if (path_[i] == '/' && From(stars + 1, i + 1)) return true;
    }
    return false;
  }

  // Matches `at` and on with some tail of the path, before which `barrier` does not stand.
  bool AnyTail(size_t at, size_t in_path, size_t barrier) {
    for (size_t i = in_path; i <= path_.size(); ++i) {
      if (From(at, i)) return true;
      if (i < path_.size() && static_cast<unsigned char>(path_[i]) == barrier) return false;
    }
    return false;
  }

  const absl::string_view pattern_;
  const absl::string_view path_;
  std::map<std::pair<size_t, size_t>, bool> known_;
};

void Run(absl::string_view input) {
  const std::vector<absl::string_view> lines = absl::StrSplit(input, '\n');
  const auto glob = PathGlob::Parse(lines.front());
  if (!glob.ok()) {
    RequirePrintable(glob.status().message());
    return;
  }
  Require(glob->pattern() == lines.front(), "a glob knows its text");
  for (size_t i = 1; i < lines.size(); ++i) {
    // Small enough for the naive way; the other way has to end for any.
    const bool matches = glob->Matches(lines[i]);
    if (lines[i].size() * lines.front().size() > 4096) continue;
    Require(matches == NaiveMatcher(lines.front(), lines[i]).Matches(),
            "the automaton and the naive matcher agree");
  }
}

}  // namespace
}  // namespace confstream

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  confstream::Run(confstream::AsText(data, size));
  return 0;
}
