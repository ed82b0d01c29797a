#include "server/fanout/view.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace confstream {

absl::StatusOr<View> View::Parse(std::vector<std::string> globs) {
  // Before sorting, so that a request with a million globs costs nothing.
  if (globs.size() > kMaxGlobs) {
    return absl::InvalidArgumentError(absl::StrCat("the request has ", globs.size(),
                                                   " path globs, and at most ", kMaxGlobs,
                                                   " are allowed: join them by wildcards"));
  }
  std::sort(globs.begin(), globs.end());
  globs.erase(std::unique(globs.begin(), globs.end()), globs.end());
  View view;
  for (const std::string& text : globs) {
    auto glob = PathGlob::Parse(text);
    if (!glob.ok()) return glob.status();
    absl::StrAppend(&view.key_, text.size(), ":", text);
    view.globs_.push_back(*std::move(glob));
  }
  return view;
}

bool View::Selects(absl::string_view path, std::vector<char>* matched) const {
  if (globs_.empty()) return true;
  bool selected = false;
  for (size_t i = 0; i < globs_.size(); ++i) {
    if (!globs_[i].Matches(path)) continue;
    (*matched)[i] = 1;
    selected = true;
  }
  return selected;
}

Sha256 View::HashFor(absl::string_view source) const {
  return Sha256::Of(absl::StrCat(source.size(), ":", source, "/", key_));
}

}  // namespace confstream
