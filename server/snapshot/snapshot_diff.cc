#include "server/snapshot/snapshot_diff.h"

namespace confstream {

std::vector<FileDifference> DiffFiles(const std::vector<SnapshotFile>& from,
                                      const std::vector<SnapshotFile>& to) {
  std::vector<FileDifference> differences;
  auto a = from.begin();
  auto b = to.begin();
  while (a != from.end() || b != to.end()) {
    const int order = b == to.end() ? -1 : a == from.end() ? 1 : a->path.compare(b->path);
    if (order < 0) {
      differences.push_back({&*a++, nullptr});
    } else if (order > 0) {
      differences.push_back({nullptr, &*b++});
    } else {
      // Mostly the same object, which need not be looked into.
      if (a->content != b->content && a->content->digest != b->content->digest) {
        differences.push_back({&*a, &*b});
      }
      ++a;
      ++b;
    }
  }
  return differences;
}

}  // namespace confstream
