#include "server/snapshot/snapshot_diff.h"

namespace confstream {

std::vector<FileDifference> DiffFiles(const std::vector<SnapshotFile>& from,
                                      const std::vector<SnapshotFile>& to) {
  std::vector<FileDifference> differences;
  auto a = from.begin();
  auto b = to.begin();
  while (a != from.end() || b != to.end()) {
    if (b == to.end() || (a != from.end() && a->path < b->path)) {
      differences.push_back({&*a++, nullptr});
    } else if (a == from.end() || b->path < a->path) {
      differences.push_back({nullptr, &*b++});
    } else {
      if (a->content->digest != b->content->digest) differences.push_back({&*a, &*b});
      ++a;
      ++b;
    }
  }
  return differences;
}

}  // namespace confstream
