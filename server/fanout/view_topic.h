// One view of one source: its newest state, and who is to be told of it.

#ifndef CONFSTREAM_SERVER_FANOUT_VIEW_TOPIC_H_
#define CONFSTREAM_SERVER_FANOUT_VIEW_TOPIC_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "server/base/mutex.h"
#include "server/fanout/view.h"
#include "server/fanout/view_snapshot.h"

namespace confstream {

// Somebody who wants to know that there is something new. Called on the delivery thread, without
// any lock held.
class Subscriber {
 public:
  virtual ~Subscriber() = default;
  // Must not block. May be called without need.
  virtual void Wake() = 0;
};

// The condition of a source as streams are told it.
struct EncodedStatus {
  bool ordinary = false;  // what a client assumes that was told nothing: SERVING, by inotify,
                          // without violations
  uint64_t number = 0;    // another one if a client has something to learn
  std::string message;    // a serialized WatchResponse with nothing but the status event
};

// What there is to tell at one moment.
struct ViewState {
  std::shared_ptr<const ViewPosition>
      position;                                 // of `view`, or where there is none yet; never null
  std::shared_ptr<const ViewSnapshot> view;     // null: the source has no snapshot yet
  std::shared_ptr<const EncodedStatus> status;  // never null
  std::optional<absl::Status> end;              // the streams are to end with this
};

// Thread-safe. Calls nobody.
class ViewTopic {
 public:
  ViewTopic(std::string source, View view, ViewState state)
      : source_(std::move(source)), view_(std::move(view)), state_(std::move(state)) {}

  const std::string& source() const { return source_; }
  const View& view() const { return view_; }

  ViewState state() const;
  void SetState(ViewState state);
  // From now on the streams are to end with `status`. The first call counts.
  void End(const absl::Status& status);

  void Subscribe(const std::shared_ptr<Subscriber>& subscriber);
  void Unsubscribe(const Subscriber* subscriber);
  bool HasSubscribers() const;
  // The subscribers that still live.
  std::vector<std::shared_ptr<Subscriber>> Subscribers() const;

 private:
  const std::string source_;
  const View view_;
  mutable Mutex mu_;
  ViewState state_ ABSL_GUARDED_BY(mu_);
  absl::flat_hash_map<const Subscriber*, std::weak_ptr<Subscriber>> subscribers_
      ABSL_GUARDED_BY(mu_);
};

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_FANOUT_VIEW_TOPIC_H_
