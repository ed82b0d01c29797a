// A temporary directory of this process that nobody else can enter.

#ifndef CONFSTREAM_CLIENT_CLI_PRIVATE_DIRECTORY_H_
#define CONFSTREAM_CLIENT_CLI_PRIVATE_DIRECTORY_H_

#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "server/base/unique_fd.h"

namespace confstream {

// Its owner holds a lock (flock) on it, and so do the programs that the owner starts: they may
// outlive an owner that is killed, and go on to read below it. A lock that can be taken means that
// all of them are gone; who makes the next directory removes what they left. Thread-compatible.
class PrivateDirectory {
 public:
  // Makes one in TMPDIR, or else /tmp, after removing those of this user that nobody holds any
  // more. Errors: what the file system answers.
  static absl::StatusOr<std::unique_ptr<PrivateDirectory>> Make();

  // Removes it.
  ~PrivateDirectory();
  PrivateDirectory(const PrivateDirectory&) = delete;
  PrivateDirectory& operator=(const PrivateDirectory&) = delete;

  // Absolute.
  const std::string& path() const { return path_; }

 private:
  PrivateDirectory(std::string path, UniqueFd lock)
      : path_(std::move(path)), lock_(std::move(lock)) {}

  const std::string path_;
  const UniqueFd lock_;
};

}  // namespace confstream

#endif  // CONFSTREAM_CLIENT_CLI_PRIVATE_DIRECTORY_H_
