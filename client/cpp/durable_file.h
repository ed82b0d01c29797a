// Making files that are on disk, whole, before anybody is led to them: the steps of which
// AtomicDirectory and DiskCopy are made. Names are relative to an open directory. Errors are those
// of the file system, with what was tried and the name.

#ifndef CONFSTREAM_CLIENT_CPP_DURABLE_FILE_H_
#define CONFSTREAM_CLIENT_CPP_DURABLE_FILE_H_

#include <sys/types.h>

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/base/unique_fd.h"

namespace confstream {

// What `errno` says, as in "cannot WHAT PATH: No space left on device". REQUIRES: errno is set.
absl::Status FileError(absl::string_view what, absl::string_view path);

// Makes a file that was not there, with exactly these permissions, and opens it for writing.
absl::StatusOr<UniqueFd> MakeFile(int directory, const std::string& name, mode_t mode);

// Waits until all that was written to `fd`, a file or a directory called `path`, is on disk.
absl::Status Sync(int fd, absl::string_view path);

}  // namespace confstream

#endif  // CONFSTREAM_CLIENT_CPP_DURABLE_FILE_H_
