// What a stream asked for: its path globs.

#ifndef CONFSTREAM_SERVER_FANOUT_VIEW_H_
#define CONFSTREAM_SERVER_FANOUT_VIEW_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/base/path_glob.h"
#include "server/base/sha256.h"

namespace confstream {

// A set of globs in canonical form: sorted, none twice, so that streams which ask for the same
// share one view. Without globs it selects every file. Immutable after construction, so
// thread-safe.
class View {
 public:
  static constexpr size_t kMaxGlobs = 64;

  // INVALID_ARGUMENT: a bad glob, or too many.
  static absl::StatusOr<View> Parse(std::vector<std::string> globs);

  // True if the view selects `path`. Marks in `matched`, which has an element for each of globs(),
  // those that do.
  bool Selects(absl::string_view path, std::vector<char>* matched) const;

  const std::vector<PathGlob>& globs() const { return globs_; }

  // Equal for equal views, and different for different ones.
  const std::string& key() const { return key_; }

  // Hash over `source` and the view, for resume tokens.
  Sha256 HashFor(absl::string_view source) const;

 private:
  View() = default;

  std::vector<PathGlob> globs_;
  std::string key_;
};

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_FANOUT_VIEW_H_
