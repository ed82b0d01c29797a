// What one stream is to be sent, and in which order: everything about a Watch stream but gRPC.

#ifndef CONFSTREAM_SERVER_FANOUT_WATCH_SESSION_H_
#define CONFSTREAM_SERVER_FANOUT_WATCH_SESSION_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "confstream/v1/config_service.pb.h"
#include "server/base/clock.h"
#include "server/fanout/message_cache.h"
#include "server/fanout/resume_token.h"
#include "server/fanout/view.h"
#include "server/fanout/view_snapshot.h"
#include "server/fanout/view_topic.h"

namespace confstream {

// A WatchRequest, checked.
struct WatchSpec {
  std::string source;
  std::optional<View> view;          // set
  bool resumes = false;              // the request has a token
  std::optional<ResumeToken> token;  // unset with `resumes`: not one of this server's making
  bool until_in_sync = false;
  absl::Duration heartbeat_interval = absl::InfiniteDuration();
  absl::Duration min_update_interval = absl::ZeroDuration();
  std::string client_id;
  std::map<std::string, std::string> labels;
};

// One message: the parts, written one after the other, are the serialized WatchResponse.
struct OutgoingMessage {
  std::string own;                                         // this stream's own fields
  std::vector<std::shared_ptr<const std::string>> shared;  // what all streams of the view are sent
};

// What is pending are facts about where the stream stands, never messages: memory is the same
// whatever the reader does. Thread-compatible: the stream's lock guards it.
class WatchSession {
 public:
  WatchSession(WatchSpec spec, std::string watch_id, std::shared_ptr<ViewTopic> topic,
               MessageCache* cache);

  // The next message, if one is due: what remains of a version once started; what settles the
  // client; a status owed; the newest content; a heartbeat. REQUIRES: the message before was
  // written.
  std::optional<OutgoingMessage> Next(Instant now);

  // After Next() had nothing: when it may have something without any news; infinite: never.
  Instant NextDue() const;

  // After Next() had nothing: set if the stream is over, and how.
  const std::optional<absl::Status>& end() const { return end_; }

  const std::string& watch_id() const { return watch_id_; }
  const std::shared_ptr<ViewTopic>& topic() const { return topic_; }

 private:
  OutgoingMessage Settle(const ViewState& state, Instant now);
  void Begin(std::shared_ptr<const ViewSnapshot> view, v1::WatchReason reason, Instant now);
  OutgoingMessage NextFragment(Instant now);
  OutgoingMessage Heartbeat(const ViewState& state, bool in_sync, Instant now);
  OutgoingMessage Status(const ViewState& state, Instant now);
  // Adds the header that tells up to which version the stream is complete.
  void AddHeader(const ViewState& state, OutgoingMessage* message) const;
  // Sets the fields that every message may have, and notes that a message was sent.
  OutgoingMessage Compose(v1::WatchResponse own, Instant now);
  void MoveOn(const ViewState& state);
  bool InSync(const ViewState& state) const;

  const WatchSpec spec_;
  const std::string watch_id_;
  const std::shared_ptr<ViewTopic> topic_;
  MessageCache* const cache_;

  bool first_sent_ = false;  // the message that carries watch_id
  bool settled_ = false;     // the first answer was given
  std::shared_ptr<const ViewPosition>
      complete_;                         // up to which the stream is complete; null: nothing
  std::optional<uint64_t> told_status_;  // EncodedStatus::number; unset: none
  int64_t last_change_number_ = 0;       // of the last content sent, or settled on
  std::shared_ptr<const ViewSnapshot> sending_;  // a version that was started
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
