// Keeps what the publisher hands over.

#ifndef CONFSTREAM_TESTS_FAKES_RECORDING_SINK_H_
#define CONFSTREAM_TESTS_FAKES_RECORDING_SINK_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "server/base/mutex.h"
#include "server/snapshot/source_state.h"

namespace confstream {

// Keeps every state it is handed. Thread-safe.
class RecordingSink final : public SourceStateSink {
 public:
  void Update(std::shared_ptr<const SourceState> state) override {
    MutexLock lock(&mu_);
    // What a source is before its first reading has nothing to say of any.
    const bool announced = state->snapshot == nullptr && state->status.violations_total == 0;
    (announced ? announced_ : states_).push_back(std::move(state));
    changed_.NotifyAll();
  }
  // Waits for `count` states of `source`. False: they do not come within half a minute.
  bool Await(const std::string& source, size_t count) {
    const absl::Time deadline = absl::Now() + absl::Seconds(30);
    while (states(source).size() < count) {
      MutexLock lock(&mu_);
      if (absl::Now() > deadline) return false;
      changed_.WaitFor(&mu_, absl::Milliseconds(100));
    }
    return true;
  }
  std::vector<std::shared_ptr<const SourceState>> announced() const {
    MutexLock lock(&mu_);
    return announced_;
  }
  std::vector<std::shared_ptr<const SourceState>> states(const std::string& source = "app") const {
    MutexLock lock(&mu_);
    std::vector<std::shared_ptr<const SourceState>> of_source;
    for (const auto& state : states_) {
      if (state->source == source) of_source.push_back(state);
    }
    return of_source;
  }

 private:
  mutable Mutex mu_;
  CondVar changed_;
  std::vector<std::shared_ptr<const SourceState>> states_ ABSL_GUARDED_BY(mu_);
  std::vector<std::shared_ptr<const SourceState>> announced_ ABSL_GUARDED_BY(mu_);
};

}  // namespace confstream

#endif  // CONFSTREAM_TESTS_FAKES_RECORDING_SINK_H_
