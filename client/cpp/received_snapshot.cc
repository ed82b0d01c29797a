#include "client/cpp/received_snapshot.h"

#include <algorithm>

namespace confstream {

const ReceivedFile* ReceivedSnapshot::Find(absl::string_view path) const {
  const auto found =
      std::lower_bound(files.begin(), files.end(), path,
                       [](const ReceivedFile& file, absl::string_view p) { return file.path < p; });
  return found != files.end() && found->path == path ? &*found : nullptr;
}

}  // namespace confstream
