// Whether the paths of a snapshot can be files on disk.

#ifndef CONFSTREAM_CLIENT_CPP_FILE_PATHS_H_
#define CONFSTREAM_CLIENT_CPP_FILE_PATHS_H_

#include <vector>

#include "absl/status/status.h"
#include "client/cpp/received_snapshot.h"

namespace confstream {

// INVALID_ARGUMENT, naming the path: `files` cannot be the files of one directory, since a path
//   - is empty or absolute, or has an empty component or `.`;
//   - has a component that begins with `..`: it leads out, or is a name that volumes keep for
//     themselves;
//   - has control characters or is not UTF-8;
//   - is there twice, or is at once a file and the directory of another file.
absl::Status CheckFilePaths(const std::vector<ReceivedFile>& files);

}  // namespace confstream

#endif  // CONFSTREAM_CLIENT_CPP_FILE_PATHS_H_
