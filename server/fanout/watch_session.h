// What one stream is to be sent, and in which order: everything about a Watch stream but gRPC.

#ifndef CONFSTREAM_SERVER_FANOUT_WATCH_SESSION_H_
#define CONFSTREAM_SERVER_FANOUT_WATCH_SESSION_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "confstream/v1/config_service.pb.h"
#include "server/base/clock.h"
#include "server/fanout/message_cache.h"
#include "server/fanout/resume_token.h"
#include "server/fanout/view_message.h"
#include "server/fanout/view_position.h"
#include "server/fanout/view_snapshot.h"
#include "server/fanout/view_state.h"
#include "server/fanout/view_topic.h"
#include "server/fanout/watch_spec.h"
#include "server/fanout/watcher.h"

namespace confstream {

// One message: the parts, written one after the other, are the serialized WatchResponse.
struct OutgoingMessage {
  std::string own;                                         // this stream's own fields
  std::vector<std::shared_ptr<const std::string>> shared;  // what all streams of the view are sent
};

// What is pending are facts about where the stream stands, never messages: memory is the same
// whatever the reader does. Thread-compatible: the stream's lock guards it.
class WatchSession {
 public:
  // What becomes of the stream is noted in `watcher`.
  WatchSession(WatchSpec spec, std::shared_ptr<Watcher> watcher, std::shared_ptr<ViewTopic> topic,
               MessageCache* cache);

  // The next message, if one is due: what remains of a version once started; what settles the
  // client; a status owed; the newest content; a heartbeat. REQUIRES: the message before was
  // written.
  std::optional<OutgoingMessage> Next(Instant now);

  // After Next() had nothing: when it may have something without any news; infinite: never.
  Instant NextDue() const;

  // After Next() had nothing: set if the stream is over, and how.
  const std::optional<absl::Status>& end() const { return end_; }

  const std::string& watch_id() const { return watcher_->watch_id(); }
  const std::shared_ptr<ViewTopic>& topic() const { return topic_; }

 private:
  std::optional<OutgoingMessage> Settle(const ViewState& state, Instant now);
  // Begins the next content that is due for a client that stands at `run`, which is of use with
  // every_version only. Unset: it can no longer be had, and end_ says so.
  std::optional<OutgoingMessage> Update(const ViewState& state, const ViewRun& run, Instant now);
  OutgoingMessage Begin(const ViewState& state, const std::shared_ptr<const ViewSnapshot>& target,
                        v1::WatchReason reason, Instant now);
  OutgoingMessage NextFragment(Instant now);
  OutgoingMessage Heartbeat(const ViewState& state, bool in_sync, Instant now);
  OutgoingMessage Status(const ViewState& state, Instant now);
  // Adds the header that tells up to which version the stream is complete.
  void AddHeader(const ViewState& state, OutgoingMessage* message);
  // Sets the fields that every message may have, and notes that a message was sent.
  OutgoingMessage Compose(v1::WatchResponse own, Instant now);
  void Complete(std::shared_ptr<const ViewPosition> position);
  bool InSync(const ViewState& state) const;

  const WatchSpec spec_;
  const std::shared_ptr<Watcher> watcher_;
  const std::shared_ptr<ViewTopic> topic_;
  MessageCache* const cache_;

  bool first_sent_ = false;  // the message that carries watch_id
  bool settled_ = false;     // the first answer was given
  std::shared_ptr<const ViewPosition>
      complete_;                         // up to which the stream is complete; null: nothing
  std::optional<ResumeToken> held_;      // what the client calls its own: a token that it was sent
  std::optional<uint64_t> told_status_;  // EncodedStatus::number; unset: none
  int64_t last_change_number_ = 0;       // of the last content sent, or settled on
  std::shared_ptr<const ViewMessage> sending_;  // a version that was started
  size_t next_fragment_ = 0;
  v1::WatchReason reason_ = v1::WATCH_REASON_UNSPECIFIED;
  int64_t skipped_versions_ = 0;
  Instant last_message_;
  // When the last content was begun; long ago, by any clock, if there was none.
  Instant last_content_ = Instant::FromSinceBoot(-absl::InfiniteDuration());
  bool update_waits_ = false;  // for min_update_interval
  std::optional<absl::Status> end_;
};

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_FANOUT_WATCH_SESSION_H_
