// Writes down what a Watch of client.h tells, and waits for it.

#ifndef CONFSTREAM_TESTS_FAKES_WATCH_RECORDER_H_
#define CONFSTREAM_TESTS_FAKES_WATCH_RECORDER_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "client/cpp/client.h"
#include "server/base/mutex.h"

namespace confstream {

// Thread-safe. Outlives the watch.
class WatchRecorder {
 public:
  // Has `options` tell this, and answers changes with `answer`; null: with ok.
  void ListenTo(WatchOptions* options, std::function<Status(const Change&)> answer = nullptr) {
    options->on_change = [this, answer = std::move(answer)](const Change& change) {
      {
        MutexLock lock(&mu_);
        changes_.push_back(change);
        news_.NotifyAll();
      }
      return answer == nullptr ? Status() : answer(change);
    };
    ListenToLog(options);
  }
  void ListenToLog(WatchOptions* options) {
    options->log = [this](const Event& event) {
      MutexLock lock(&mu_);
      events_.push_back(event);
      news_.NotifyAll();
    };
  }

  std::vector<Change> changes() {
    MutexLock lock(&mu_);
    return changes_;
  }
  // Those of this kind.
  std::vector<Event> events(Event::Kind kind) {
    MutexLock lock(&mu_);
    return EventsLocked(kind);
  }

  // True once there are so many, false if there are not within 20 s.
  bool AwaitChanges(size_t count) {
    MutexLock lock(&mu_);
    const absl::Time deadline = absl::Now() + kPatience;
    while (changes_.size() < count) {
      if (absl::Now() >= deadline) return false;
      news_.WaitFor(&mu_, deadline - absl::Now());
    }
    return true;
  }
  bool AwaitEvents(Event::Kind kind, size_t count) {
    MutexLock lock(&mu_);
    const absl::Time deadline = absl::Now() + kPatience;
    while (EventsLocked(kind).size() < count) {
      if (absl::Now() >= deadline) return false;
      news_.WaitFor(&mu_, deadline - absl::Now());
    }
    return true;
  }

 private:
  static constexpr absl::Duration kPatience = absl::Seconds(20);

  std::vector<Event> EventsLocked(Event::Kind kind) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    std::vector<Event> found;
    for (const Event& event : events_) {
      if (event.kind == kind) found.push_back(event);
    }
    return found;
  }

  Mutex mu_;
  CondVar news_;
  std::vector<Change> changes_ ABSL_GUARDED_BY(mu_);
  std::vector<Event> events_ ABSL_GUARDED_BY(mu_);
};

}  // namespace confstream

#endif  // CONFSTREAM_TESTS_FAKES_WATCH_RECORDER_H_
