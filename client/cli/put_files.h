// What `sync` and `exec` do with the files that have come.

#ifndef CONFSTREAM_CLIENT_CLI_PUT_FILES_H_
#define CONFSTREAM_CLIENT_CLI_PUT_FILES_H_

#include "absl/status/statusor.h"
#include "client/cpp/atomic_directory.h"
#include "client/cpp/received_snapshot.h"

namespace confstream {

// As AtomicDirectory::Replace. FAILED_PRECONDITION also if no glob of the request matches any file,
// unless `allow_empty`: a mistyped or outdated glob must not take the files away from whoever reads
// them.
absl::StatusOr<bool> PutFiles(const ReceivedSnapshot& snapshot, bool allow_empty,
                              AtomicDirectory* directory);

}  // namespace confstream

#endif  // CONFSTREAM_CLIENT_CLI_PUT_FILES_H_
