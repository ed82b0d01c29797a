// One view of one source: its newest state, and who is to be told of it.

#ifndef CONFSTREAM_SERVER_FANOUT_VIEW_TOPIC_H_
#define CONFSTREAM_SERVER_FANOUT_VIEW_TOPIC_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "server/base/mutex.h"
#include "server/fanout/subscriber_set.h"
#include "server/fanout/view.h"
#include "server/fanout/view_history.h"
#include "server/fanout/view_state.h"

namespace confstream {

// Thread-safe. Calls nobody.
class ViewTopic {
 public:
  ViewTopic(std::string source, View view, ViewState state)
      : source_(std::move(source)),
        view_(std::move(view)),
        history_(view_),
        state_(std::move(state)) {}

  const std::string& source() const { return source_; }
  const View& view() const { return view_; }
  ViewHistory& history() { return history_; }

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
  ViewHistory history_;
  mutable Mutex mu_;
  ViewState state_ ABSL_GUARDED_BY(mu_);
  SubscriberSet subscribers_ ABSL_GUARDED_BY(mu_);
};

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_FANOUT_VIEW_TOPIC_H_
