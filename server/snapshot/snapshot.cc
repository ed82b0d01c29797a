#include "server/snapshot/snapshot.h"

namespace confstream {

void TreeDigest::Add(absl::string_view path, const Sha256& digest) {
  // sha256sum marks a line with a leading backslash when it has to escape the name (coreutils,
  // "md5sum invocation").
  std::string escaped;
  bool changed = false;
  for (const char c : path) {
    switch (c) {
      case '\\':
        escaped += "\\\\";
        changed = true;
        break;
      case '\n':
        escaped += "\\n";
        changed = true;
        break;
      case '\r':
        escaped += "\\r";
        changed = true;
        break;
      default:
        escaped += c;
    }
  }
  if (changed) hasher_.Update("\\");
  hasher_.Update(digest.Hex());
  hasher_.Update("  ");
  hasher_.Update(escaped);
  hasher_.Update("\n");
}

Sha256 TreeDigest::Finish() { return hasher_.Finish(); }

}  // namespace confstream
