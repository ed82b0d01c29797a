#include "client/cli/put_files.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace confstream {

absl::StatusOr<bool> PutFiles(const ReceivedSnapshot& snapshot, bool allow_empty,
                              AtomicDirectory* directory) {
  if (snapshot.files.empty() && !snapshot.missing_globs.empty() && !allow_empty) {
    return absl::FailedPreconditionError(
        absl::StrCat("no file matches `", absl::StrJoin(snapshot.missing_globs, "` or `"),
                     "`: mend --glob, or add --allow-empty if there are to be no files"));
  }
  return directory->Replace(snapshot.files);
}

}  // namespace confstream
