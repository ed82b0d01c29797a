// The files below a path, on their way to be checked by a server.

#ifndef CONFSTREAM_CLIENT_CLI_CANDIDATE_UPLOAD_H_
#define CONFSTREAM_CLIENT_CLI_CANDIDATE_UPLOAD_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "client/cpp/connection.h"
#include "confstream/v1/admin_service.pb.h"
#include "server/base/file_system.h"
#include "server/base/source_tree.h"
#include "server/base/unique_fd.h"

namespace confstream {

// Lists as the server lists a source, so that a ConfigMap volume's files are those behind `..data`;
// what the source includes and excludes is for the server to apply. Reads no more than a message at
// a time. Thread-compatible.
class CandidateUpload {
 public:
  // The most content of a message.
  static constexpr size_t kMessageBytes = size_t{1} << 20;

  // Lists the files below `path`, or `path` itself if it is a file. NOT_FOUND: there is none; else
  // what the file system answers.
  static absl::StatusOr<CandidateUpload> Open(FileSystem* file_system, const std::string& path,
                                              const std::string& source);

  // What is wrong already here: links that lead nowhere or out, names that the API cannot carry.
  // The files in question are not sent.
  const std::vector<v1::Violation>& violations() const { return violations_; }
  size_t file_count() const { return files_.size(); }

  // Fills the next message; false: all was sent. The first names the source, even without files.
  // Errors: what the file system answers; ABORTED: a file changed while it was read.
  absl::StatusOr<bool> Next(v1::ValidateSnapshotRequest* request);

 private:
  CandidateUpload(FileSystem* file_system, std::string source, SourceTree tree)
      : file_system_(file_system), source_(std::move(source)), tree_(std::move(tree)) {}

  void TakeRefusals();
  absl::Status Open(const TreeFile& file);
  absl::Status ReadPart(size_t room, v1::ConfigFile* part);

  FileSystem* file_system_;
  std::string source_;
  SourceTree tree_;
  std::vector<size_t> files_;  // those of tree_ that are sent
  std::vector<v1::Violation> violations_;

  bool begun_ = false;
  size_t next_ = 0;         // index into files_ of the file being sent
  UniqueFd open_;           // of that file, if a part of it was sent
  int64_t size_bytes_ = 0;  // of that file
  int64_t offset_ = 0;      // where its next part begins
};

}  // namespace confstream

#endif  // CONFSTREAM_CLIENT_CLI_CANDIDATE_UPLOAD_H_
