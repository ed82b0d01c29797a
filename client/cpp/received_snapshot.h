// What a client holds: the files of a view, complete, from one version. Immutable and shared.

#ifndef CONFSTREAM_CLIENT_CPP_RECEIVED_SNAPSHOT_H_
#define CONFSTREAM_CLIENT_CPP_RECEIVED_SNAPSHOT_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "confstream/v1/config_service.pb.h"
#include "server/base/sha256.h"

namespace confstream {

// One file of a view. Its bytes are shared by all snapshots in which the client received them once.
struct ReceivedFile {
  std::string path;
  std::shared_ptr<const std::string> content;
  Sha256 digest;  // of `content`
  std::string content_type;
  int64_t last_changed_version = 0;
};

struct ReceivedSnapshot {
  v1::ResponseHeader header;
  v1::WatchReason reason = v1::WATCH_REASON_UNSPECIFIED;
  bool in_sync = false;                    // it was the newest content when the server sent it
  int64_t skipped_versions = 0;            // versions of this view left out before it
  std::string view_digest;                 // "sha256:<hex>" over `files`
  std::vector<ReceivedFile> files;         // in byte order of paths
  std::vector<std::string> missing_globs;  // those asked for that select none of `files`

  // The file at `path`, or null.
  const ReceivedFile* Find(absl::string_view path) const;
};

}  // namespace confstream

#endif  // CONFSTREAM_CLIENT_CPP_RECEIVED_SNAPSHOT_H_
