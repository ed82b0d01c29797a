// Who received which update when.

#ifndef CONFSTREAM_TESTS_BENCH_RECEIPTS_H_
#define CONFSTREAM_TESTS_BENCH_RECEIPTS_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "tests/bench/payload.h"

namespace confstream {

// Note...() are called by the thread that reads; the counts may be asked for by any thread; the
// rest once reading has ended.
class Receipts {
 public:
  // Update 0 is what the watchers find; those up to `warm_up` are not measured; `last` is the last.
  Receipts(size_t watchers, int64_t warm_up, int64_t last);

  // Before update `number` is published; for anything after `last` nothing is noted.
  void NotePublished(int64_t number, int64_t began_ns);

  // The first message of a watcher came: its stream is open.
  void NoteOpen() { ++open_; }
  // A watcher's stream ended.
  void NoteFailure() { ++failed_; }
  // A message of `bytes` came with these payloads, at `now_ns`. A watcher has an update once it has
  // this one or a later one. Crashes on a payload that was never published: the server is broken.
  void NoteReceived(size_t watcher, const std::vector<PayloadStamp>& stamps, size_t bytes,
                    int64_t now_ns);

  int64_t open() const { return open_; }
  int64_t failed() const { return failed_; }
  // Watchers that have update `number`, one of 0, `warm_up` and `last`.
  int64_t warm() const { return warm_; }
  int64_t at_last() const { return at_last_; }

  // Of the measured updates: payloads received, and updates that a later one made superfluous.
  int64_t deliveries() const { return deliveries_; }
  int64_t skipped() const { return skipped_; }
  // Of the messages that had a measured update.
  int64_t received_bytes() const { return received_bytes_; }
  // For the measured updates in order: the times from the beginning of publishing until a watcher
  // had it, one for each watcher that did, ascending.
  std::vector<std::vector<int64_t>> SortedLatencies() const;

 private:
  const int64_t warm_up_;
  const int64_t last_;
  std::vector<std::atomic<int64_t>> began_ns_;  // by number

  std::vector<int64_t> numbers_;                  // by watcher: the newest update it has, or -1
  std::vector<std::vector<int64_t>> latency_ns_;  // by number - warm_up - 1

  std::atomic<int64_t> open_ = 0;
  std::atomic<int64_t> failed_ = 0;
  std::atomic<int64_t> warm_ = 0;
  std::atomic<int64_t> at_last_ = 0;
  std::atomic<int64_t> deliveries_ = 0;
  std::atomic<int64_t> skipped_ = 0;
  std::atomic<int64_t> received_bytes_ = 0;
};

}  // namespace confstream

#endif  // CONFSTREAM_TESTS_BENCH_RECEIPTS_H_
