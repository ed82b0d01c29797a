// A directory for one test, gone with it.

#ifndef CONFSTREAM_TESTS_FAKES_TEMPORARY_DIRECTORY_H_
#define CONFSTREAM_TESTS_FAKES_TEMPORARY_DIRECTORY_H_

#include <string>

#include "absl/strings/string_view.h"

namespace confstream {

// Makes a directory of its own under $TMPDIR (else /tmp) and removes it with all that is in it,
// also what a test left unreadable. Not copyable; thread-compatible.
class TemporaryDirectory {
 public:
  // Throws std::system_error if the directory cannot be made.
  TemporaryDirectory();
  ~TemporaryDirectory();
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  // Absolute, and free of symbolic links.
  const std::string& path() const { return path_; }

  // The path of `relative` in the directory.
  std::string Path(absl::string_view relative) const;

 private:
  std::string path_;
};

}  // namespace confstream

#endif  // CONFSTREAM_TESTS_FAKES_TEMPORARY_DIRECTORY_H_
