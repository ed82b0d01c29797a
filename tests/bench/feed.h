// Where the load client publishes: one way for each kind of server.

#ifndef CONFSTREAM_TESTS_BENCH_FEED_H_
#define CONFSTREAM_TESTS_BENCH_FEED_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

namespace confstream {

// Thread-compatible.
class Feed {
 public:
  virtual ~Feed() = default;

  // Makes `payload` what the server is to send to all watchers. Returns the monotonic time, in
  // nanoseconds, just before the step that let the server know: all before it is preparation.
  virtual absl::StatusOr<int64_t> Publish(const std::string& payload) = 0;
};

}  // namespace confstream

#endif  // CONFSTREAM_TESTS_BENCH_FEED_H_
