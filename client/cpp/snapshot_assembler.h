// Puts the messages of a Watch stream together into whole snapshots, and believes none of them
// unchecked. Free of gRPC. Thread-compatible.

#ifndef CONFSTREAM_CLIENT_CPP_SNAPSHOT_ASSEMBLER_H_
#define CONFSTREAM_CLIENT_CPP_SNAPSHOT_ASSEMBLER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/cpp/received_snapshot.h"
#include "confstream/v1/config_service.pb.h"

namespace confstream {

// Follows the streams of one view, one after another:
//
//   for each stream:  request.set_resume_token(assembler.resume_token());  assembler.BeginStream();
//     for each message:  assembler.Take(message);  on an error ForgetToken(), and a new stream
//
// What was completed stays held, whatever happens to later streams.
class SnapshotAssembler {
 public:
  static constexpr int64_t kDefaultMaxBytes = int64_t{1} << 30;

  // For the names and types of a version's files, besides max_bytes for their content.
  static constexpr int64_t kMostOverheadBytes = int64_t{64} << 20;

  // Refuses versions with more than `max_bytes` of content, whatever the server says.
  explicit SnapshotAssembler(int64_t max_bytes = kDefaultMaxBytes) : max_bytes_(max_bytes) {}

  // Begins with what an earlier assembler held, as if it had been received: deltas are applied to
  // it, and its token is the first. To be called first.
  void Hold(std::shared_ptr<const ReceivedSnapshot> snapshot);

  // A new stream begins: forgets the fragments of a version that the last one left half sent.
  void BeginStream();

  // Takes the next message of the stream. Returns the snapshot that it completes, or null if it
  // completes none: a fragment that is not the last, a heartbeat, a status, an event not known.
  // DATA_LOSS: the message contradicts itself, those before it or the digest, or needs content that
  // is not held; RESOURCE_EXHAUSTED: more than max_bytes. After an error the stream is of no more
  // use; the next one has to begin without a token (ForgetToken).
  absl::StatusOr<std::shared_ptr<const ReceivedSnapshot>> Take(const v1::WatchResponse& message);

  // The token of the last message whose content is held completely; empty if there is none.
  const std::string& resume_token() const { return resume_token_; }
  void ForgetToken() { resume_token_.clear(); }

  // The last complete snapshot; null if there is none. Its header moves on with heartbeats and
  // statuses that say so.
  const std::shared_ptr<const ReceivedSnapshot>& held() const { return held_; }

 private:
  // A version of which some fragments are here.
  struct Pending {
    v1::WatchResponse::EventCase kind;
    int64_t base_version = 0;  // of a delta
    int64_t bytes = 0;
    int64_t overhead = 0;       // of its files' names
    ReceivedSnapshot snapshot;  // of a delta: its changed files
    std::set<std::string> removed_paths;

    // The file that is being received, if its end has not come yet.
    std::optional<v1::ConfigFile> partial;
  };

  absl::Status BeginVersion(const v1::WatchResponse& message);
  absl::Status CheckContinues(const v1::WatchResponse& message) const;
  absl::Status AddFile(const v1::ConfigFile& part);
  absl::Status AddRemovals(const v1::Delta& fragment);
  absl::Status FinishFile(v1::ConfigFile whole);
  absl::StatusOr<std::shared_ptr<const ReceivedSnapshot>> FinishVersion(
      const v1::WatchResponse& message);
  absl::Status ApplyDelta();
  // RESOURCE_EXHAUSTED: so much content, or so much besides it, is not taken.
  absl::Status CheckSize(int64_t bytes, int64_t overhead) const;
  absl::Status MoveOn(const v1::ResponseHeader& header);

  const int64_t max_bytes_;
  std::shared_ptr<const ReceivedSnapshot> held_;
  std::string resume_token_;
  std::optional<Pending> pending_;

  // The server knows on this stream what is held: it was given its token, or has sent it.
  bool stands_ = false;
  // The last version of which this stream told; epoch empty if it told of none.
  std::string stream_epoch_;
  int64_t stream_version_ = 0;
};

}  // namespace confstream

#endif  // CONFSTREAM_CLIENT_CPP_SNAPSHOT_ASSEMBLER_H_
