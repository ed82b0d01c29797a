// A WatchRequest, checked.

#ifndef CONFSTREAM_SERVER_FANOUT_WATCH_SPEC_H_
#define CONFSTREAM_SERVER_FANOUT_WATCH_SPEC_H_

#include <map>
#include <optional>
#include <string>

#include "absl/time/time.h"
#include "server/fanout/resume_token.h"
#include "server/fanout/view.h"

namespace confstream {

// Plain data.
struct WatchSpec {
  std::string source;
  std::optional<View> view;          // set
  bool resumes = false;              // the request has a token
  std::optional<ResumeToken> token;  // unset with `resumes`: not one of this server's making
  bool deltas = false;               // mode DELTA
  bool every_version = false;
  bool until_in_sync = false;
  absl::Duration heartbeat_interval = absl::InfiniteDuration();
  absl::Duration min_update_interval = absl::ZeroDuration();
  std::string client_id;
  std::map<std::string, std::string> labels;
  std::string peer;  // where the client is connected from, as gRPC writes it
};

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_FANOUT_WATCH_SPEC_H_
