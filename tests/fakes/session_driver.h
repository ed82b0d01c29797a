// A WatchSession in the hands of a test, with the topic that feeds it.

#ifndef CONFSTREAM_TESTS_FAKES_SESSION_DRIVER_H_
#define CONFSTREAM_TESTS_FAKES_SESSION_DRIVER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "server/fanout/message_cache.h"
#include "server/fanout/messages.h"
#include "server/fanout/watch_session.h"
#include "server/fanout/watcher.h"
#include "tests/fakes/fake_clock.h"
#include "tests/fakes/fake_history.h"
#include "tests/fakes/received_message.h"
#include "tests/fakes/snapshots.h"

namespace confstream {

// One topic, without a hub: news are what the test says. Thread-compatible.
class SessionDriver {
 public:
  explicit SessionDriver(std::vector<std::string> globs = {})
      : view_(*View::Parse(std::move(globs))) {
    state_.position = PositionBeforeFirst("app", kEpochA);
    state_.history = history_;
    Say(SourceCondition::kWaiting);
  }

  // The source has a new version, and retains it. Its condition stays what it is.
  void Publish(int64_t version, const Files& files, const std::string& epoch = kEpochA) {
    const auto snapshot = MakeSnapshot(version, files, "app", epoch);
    history_->Add(snapshot);
    state_.view = std::make_shared<const ViewSnapshot>(snapshot, view_, state_.view.get());
    state_.position = state_.view->position();
    if (topic_ != nullptr) topic_->SetState(state_);
  }

  // The source has no version any more.
  void Lose() {
    state_.view = nullptr;
    state_.position = PositionBeforeFirst("app", kEpochA);
    if (topic_ != nullptr) topic_->SetState(state_);
  }

  // The source is in another condition.
  void Say(SourceCondition condition) {
    auto status = std::make_shared<EncodedStatus>();
    status->ordinary = condition == SourceCondition::kServing;
    status->number = ++statuses_;
    SourceState source;
    source.status.condition = condition;
    v1::WatchResponse response;
    FillStatus(source, 0, response.mutable_source_status());
    status->message = response.SerializeAsString();
    state_.status = std::move(status);
    if (topic_ != nullptr) topic_->SetState(state_);
  }

  void End(const absl::Status& status) { topic_->End(status); }

  // Opens the stream.
  void Open(WatchSpec spec = WatchSpec()) {
    spec.source = "app";
    spec.view = view_;
    topic_ = std::make_shared<ViewTopic>("app", view_, state_);
    watcher_ = std::make_shared<Watcher>("the-watch-id", spec, topic_, clock_.WallNow());
    session_ = std::make_unique<WatchSession>(std::move(spec), watcher_, topic_, &cache_);
  }
  // Opens the stream with a token.
  void Resume(const std::optional<ResumeToken>& token, WatchSpec spec = WatchSpec()) {
    spec.resumes = true;
    spec.token = token;
    Open(std::move(spec));
  }

  // The next message, received by a client. Unset: none is due.
  std::optional<v1::WatchResponse> Next() {
    const auto message = session_->Next(clock_.Now());
    if (!message.has_value()) return std::nullopt;
    return Receive(*message);
  }
  // Expects a message.
  v1::WatchResponse MustNext() {
    auto message = Next();
    EXPECT_TRUE(message.has_value()) << "nothing is due";
    return std::move(message).value_or(v1::WatchResponse());
  }
  // Takes all that is due.
  void Drain() {
    while (Next().has_value()) {
    }
  }

  // Of the newest version.
  ResumeToken token() const { return state_.position->token; }
  const View& view() const { return view_; }
  WatchSession& session() { return *session_; }
  Watcher& watcher() { return *watcher_; }
  FakeHistory& history() { return *history_; }
  FakeClock& clock() { return clock_; }
  // How long until something may be due without news.
  absl::Duration DueIn() { return session_->NextDue() - clock_.Now(); }

 private:
  const View view_;
  FakeClock clock_;
  MessageCache cache_{int64_t{64} << 20};
  const std::shared_ptr<FakeHistory> history_ = std::make_shared<FakeHistory>();
  ViewState state_;
  uint64_t statuses_ = 0;
  std::shared_ptr<ViewTopic> topic_;
  std::shared_ptr<Watcher> watcher_;
  std::unique_ptr<WatchSession> session_;
};

// The content of a file that takes two fragments.
inline std::string TwoFragments(char fill) { return std::string(3 << 19, fill); }

}  // namespace confstream

#endif  // CONFSTREAM_TESTS_FAKES_SESSION_DRIVER_H_
