// Files that a client sends to have them checked.

#ifndef CONFSTREAM_SERVER_SERVE_CANDIDATE_FILES_H_
#define CONFSTREAM_SERVER_SERVE_CANDIDATE_FILES_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "confstream/v1/config_service.pb.h"
#include "server/snapshot/settings_check.h"
#include "server/snapshot/snapshot.h"
#include "server/snapshot/source_config.h"
#include "server/snapshot/violation.h"

namespace confstream {

// Puts the files together, and keeps no more of them than the source's limits allow.
// Thread-compatible.
class CandidateFiles {
 public:
  explicit CandidateFiles(const SourceConfig& config) : config_(config), settings_(config) {}

  // Takes a file, or a part of one. INVALID_ARGUMENT: a path that no file of a source can have, a
  // file twice, a part out of sequence.
  absl::Status Take(const v1::ConfigFile& part);

  // The files that would be part of the source, in byte order of paths; and which limits they
  // break. INVALID_ARGUMENT: the last file is not whole. To be called once, last.
  absl::Status Finish(Generation* generation, std::vector<Violation>* violations);

 private:
  const SourceConfig config_;
  SettingsCheck settings_;
  std::map<std::string, std::string> files_;  // by path
  std::map<std::string, int64_t> sizes_;      // as announced, or as received
  std::string open_path_;                     // the file whose end has not come yet
  int64_t received_ = 0;                      // of it
  int64_t total_bytes_ = 0;
};

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_SERVE_CANDIDATE_FILES_H_
