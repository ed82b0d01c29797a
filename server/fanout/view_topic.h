// One view of one source: its newest state, and who is to be told of it.

#ifndef CONFSTREAM_SERVER_FANOUT_VIEW_TOPIC_H_
#define CONFSTREAM_SERVER_FANOUT_VIEW_TOPIC_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "server/base/mutex.h"
#include "server/fanout/audience.h"
#include "server/fanout/view.h"
#include "server/fanout/view_history.h"
#include "server/fanout/view_state.h"

namespace confstream {

// Thread-safe.
class ViewTopic {
 public:
  ViewTopic(std::string source, View view, ViewState state)
      : source_(std::move(source)),
        view_(std::move(view)),
        history_(view_),
        state_(std::make_shared<const ViewState>(std::move(state))) {}

  const std::string& source() const { return source_; }
  const View& view() const { return view_; }
  ViewHistory& history() { return history_; }
  // Who is to be told when the state is another. Setting it tells nobody.
  Audience& audience() { return *audience_; }

  // Never null.
  std::shared_ptr<const ViewState> state() const;
  void SetState(ViewState state);
  // From now on the streams are to end with `status`. The first call counts.
  void End(const absl::Status& status);

 private:
  const std::string source_;
  const View view_;
  ViewHistory history_;
  const std::shared_ptr<Audience> audience_ = std::make_shared<Audience>();
  mutable Mutex mu_;
  std::shared_ptr<const ViewState> state_ ABSL_GUARDED_BY(mu_);
};

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_FANOUT_VIEW_TOPIC_H_
