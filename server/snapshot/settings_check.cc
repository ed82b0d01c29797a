#include "server/snapshot/settings_check.h"

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "server/base/text.h"

namespace confstream {

bool SettingsCheck::Includes(absl::string_view path) const {
  // A directory that is left out takes with it what is below.
  for (size_t begin = 0; begin <= path.size();) {
    const size_t end = std::min(path.find('/', begin), path.size());
    const absl::string_view prefix = path.substr(0, begin);
    if (!WhyLeftOut(rules_, true, prefix, path.substr(begin, end - begin)).empty()) return false;
    begin = end + 1;
  }
  return rules_.include.empty() ||
         std::any_of(rules_.include.begin(), rules_.include.end(),
                     [path](const PathGlob& glob) { return glob.Matches(path); });
}

void SettingsCheck::Add(absl::string_view path, int64_t size_bytes) {
  ++files_;
  total_bytes_ += size_bytes;
  if (size_bytes > limits_.max_file_bytes) {
    has_large_file_ = true;
    violations_.push_back(
        {EscapeForDisplay(path), 0, 0, "limits.file_size",
         absl::StrCat("the file has ", size_bytes, " bytes, and ", limits_.max_file_bytes,
                      " are allowed: exclude it or raise limits.max_file_size")});
  }
  if (std::count(path.begin(), path.end(), '/') > limits_.max_depth) {
    violations_.push_back({EscapeForDisplay(path), 0, 0, "limits.depth",
                           absl::StrCat("the file is more than ", limits_.max_depth,
                                        " directories deep: flatten the tree or raise "
                                        "limits.max_depth")});
  }
}

std::vector<Violation> SettingsCheck::Violations() const {
  std::vector<Violation> violations = violations_;
  // What a file that is too large by itself does to the total is no news.
  if (total_bytes_ > limits_.max_total_bytes && !has_large_file_) {
    violations.push_back(
        {"", 0, 0, "limits.total_size",
         absl::StrCat("the files have ", total_bytes_, " bytes together, and ",
                      limits_.max_total_bytes,
                      " are allowed: exclude some or raise limits.max_total_size")});
  }
  if (files_ > limits_.max_files) {
    violations.push_back({"", 0, 0, "limits.files",
                          absl::StrCat("there are ", files_, " files, and ", limits_.max_files,
                                       " are allowed: exclude some or raise limits.max_files")});
  }
  std::sort(violations.begin(), violations.end());
  return violations;
}

}  // namespace confstream
