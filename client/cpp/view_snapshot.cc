#include "client/cpp/view_snapshot.h"

#include <algorithm>

namespace confstream {

const ViewFile* ViewSnapshot::Find(absl::string_view path) const {
  const auto found =
      std::lower_bound(files.begin(), files.end(), path,
                       [](const ViewFile& file, absl::string_view p) { return file.path < p; });
  return found != files.end() && found->path == path ? &*found : nullptr;
}

}  // namespace confstream
