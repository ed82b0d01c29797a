// One source from its files to its versions, on one thread: everything is real but time, and a test
// stands between any two calls.

#ifndef CONFSTREAM_TESTS_FAULTS_FIXTURE_H_
#define CONFSTREAM_TESTS_FAULTS_FIXTURE_H_

#include <gtest/gtest.h>
#include <spdlog/sinks/null_sink.h>

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "server/history/history.h"
#include "server/publish/source_lane.h"
#include "server/watch/source_watcher.h"
#include "tests/fakes/hooked_event_source.h"
#include "tests/fakes/hooked_file_system.h"
#include "tests/fakes/snapshots.h"

namespace confstream {

// The clocks of the machine, moved forwards: files, which the kernel stamps, are the older for it.
// Thread-compatible.
class MovedClock final : public Clock {
 public:
  absl::Time WallNow() const override { return absl::Now() + passed_ + jump_; }
  Instant Now() const override { return Instant::FromSinceBoot(absl::Hours(1) + passed_); }

  void Advance(absl::Duration duration) { passed_ += duration; }
  // Sets the time of day, and it only.
  void Jump(absl::Duration jump) { jump_ += jump; }

 private:
  absl::Duration passed_;
  absl::Duration jump_;
};

// Expects of all that is published that it is one of the contents that there were, whole, that none
// comes before an older one, and that nothing served is lost. Thread-compatible.
class ObservedSource final : private ReadLane, private ReadAnswerSink, private SourceStateSink {
 public:
  // Called before each call to the file system, and before each watch is armed. Not OK: the call
  // fails with that.
  using Hook = std::function<absl::Status(const std::string& call)>;

  // `events` outlives it, and may have served others before: to close inotify takes the kernel
  // longer than all the rest.
  ObservedSource(SourceConfig config, HookedEventSource* events, Hook before)
      : config_(std::move(config)), events_(events) {
    file_system.before = [before](HookedFileSystem::Call call, const std::string&) {
      static constexpr const char* kNames[] = {
          "OpenRoot", "OpenEntry",      "Stat",   "StatEntry", "ReadLink",
          "List",     "OpenForReading", "ReadAt", "Mounts",    "MountId"};
      return before(kNames[call]);
    };
    events_->before_watch = [before](const std::string&) { return before("Watch"); };
    lane_.Announce();
    watcher_.AddSource(config_, 1);
  }

  // From now on the files are these.
  void Made(Files files) { made_.push_back(std::move(files)); }

  // Lets so much time pass. Fails the test if the watcher does not come to rest.
  void Pass(absl::Duration duration) {
    constexpr int kMaxTurns = 3000;
    const Instant end = clock.Now() + duration;
    for (int turn = 0; turn < kMaxTurns; ++turn) {
      before_turn();
      const Instant next = watcher_.Step(clock.Now());
      if (!requests_.empty()) {
        ServeOne();
      } else if (next > end) {
        clock.Advance(end - clock.Now());
        return;
      } else {
        clock.Advance(std::max(absl::ZeroDuration(), next - clock.Now()));
      }
    }
    ADD_FAILURE() << "more than " << kMaxTurns << " turns in " << absl::FormatDuration(duration);
  }

  // True if the newest content is served, and nothing is said against it.
  bool ServesTheNewest() const {
    return state_->snapshot != nullptr && served_ + 1 == made_.size() &&
           state_->status.violations.empty();
  }
  const SourceState& state() const { return *state_; }

  MovedClock clock;
  HookedFileSystem file_system;
  // Called before each turn of the watcher.
  std::function<void()> before_turn = [] {};

 private:
  void Submit(ReadRequest request) override { requests_.push_back(std::move(request)); }

  void ServeOne() {
    const ReadRequest request = std::move(requests_.front());
    requests_.pop_front();
    watcher_.Answer({request.source, request.incarnation, lane_.Publish(request, this)});
  }

  void Answer(ReadAnswer answer) override { watcher_.Answer(std::move(answer)); }
  void AskForReading(const std::string& source) override { watcher_.AskForReading(source); }
  // Whoever asks waits for a turn, which only this thread takes.
  bool QuietSince(const ReadRequest& request) override {
    auto quiet = std::async(std::launch::async, [&] { return watcher_.QuietSince(request); });
    while (quiet.wait_for(std::chrono::microseconds(20)) != std::future_status::ready) {
      watcher_.Step(clock.Now());
    }
    return quiet.get();
  }

  void Update(std::shared_ptr<const SourceState> state) override {
    const std::shared_ptr<const SourceState> before = std::move(state_);
    state_ = std::move(state);
    const bool had = before != nullptr && before->snapshot != nullptr;
    if (state_->snapshot == nullptr) {
      EXPECT_FALSE(had) << "served content was lost";
      return;
    }
    if (had && state_->snapshot == before->snapshot) return;
    EXPECT_EQ(state_->snapshot->version, had ? before->snapshot->version + 1 : 1);
    Files files;
    for (const SnapshotFile& file : state_->snapshot->files) files[file.path] = file.content->bytes;
    while (served_ < made_.size() && made_[served_] != files) ++served_;
    EXPECT_LT(served_, made_.size()) << "not what there was, or older than what was published: "
                                     << testing::PrintToString(files);
  }

  const SourceConfig config_;
  HookedEventSource* const events_;
  Logger log_{LogFormat::kText, LogLevel::kError, std::make_shared<spdlog::sinks::null_sink_mt>()};
  SourceJournals journals_{&clock};
  const std::unique_ptr<History> history_ = *History::Open("", &clock, &log_);
  const LaneContext context_{&clock, &file_system, {this}, &journals_, &log_};
  SourceLane lane_{&context_, config_, *SchemaSet::Load({}), 1, history_->Source(config_)};
  SourceWatcher watcher_{&clock, &file_system, events_, this, &journals_, &log_};
  std::deque<ReadRequest> requests_;

  std::vector<Files> made_;
  size_t served_ = 0;  // index of what is served
  std::shared_ptr<const SourceState> state_;
};

}  // namespace confstream

#endif  // CONFSTREAM_TESTS_FAULTS_FIXTURE_H_
