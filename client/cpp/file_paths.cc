#include "client/cpp/file_paths.h"

#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "server/base/text.h"

namespace confstream {
namespace {

absl::Status Refuse(absl::string_view path, absl::string_view why) {
  return absl::InvalidArgumentError(
      absl::StrCat("path `", EscapeForDisplay(path), "` cannot be a file here: ", why));
}

absl::Status CheckPath(absl::string_view path) {
  if (!IsValidUtf8(path) || HasControlCharacters(path)) {
    return Refuse(path, "it has control characters or is not UTF-8");
  }
  for (const absl::string_view component : absl::StrSplit(path, '/')) {
    if (component.empty() || component == ".") {
      return Refuse(path, "it is not relative, or has an empty component");
    }
    if (absl::StartsWith(component, "..")) {
      return Refuse(path, "names that begin with `..` are not for files");
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckFilePaths(const std::vector<ReceivedFile>& files) {
  std::set<absl::string_view> paths;
  for (const ReceivedFile& file : files) {
    if (absl::Status status = CheckPath(file.path); !status.ok()) return status;
    if (!paths.insert(file.path).second) return Refuse(file.path, "it is there twice");
  }
  for (const absl::string_view path : paths) {
    for (size_t slash = path.find('/'); slash != absl::string_view::npos;
         slash = path.find('/', slash + 1)) {
      if (paths.count(path.substr(0, slash)) > 0) {
        return Refuse(path, absl::StrCat("`", path.substr(0, slash), "` is a file, too"));
      }
    }
  }
  return absl::OkStatus();
}

}  // namespace confstream
