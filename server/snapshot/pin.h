// A rollback's hold on a source.

#ifndef CONFSTREAM_SERVER_SNAPSHOT_PIN_H_
#define CONFSTREAM_SERVER_SNAPSHOT_PIN_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/time/time.h"
#include "server/base/sha256.h"

namespace confstream {

// While it lasts, only valid files that are neither `replaced` nor `last_read` are published. Plain
// data.
struct Pin {
  int64_t version = 0;  // whose content is held: what the source was rolled back to
  absl::Time pin_time;
  absl::Time expire_time = absl::InfiniteFuture();
  std::string reason;
  // Digests of the content that the rollback replaced, and of the files as they were last read:
  // finding these again is no news. The latter is unset if the files could not be read.
  Sha256 replaced;
  std::optional<Sha256> last_read;

  friend bool operator==(const Pin& a, const Pin& b) {
    return a.version == b.version && a.pin_time == b.pin_time && a.expire_time == b.expire_time &&
           a.reason == b.reason && a.replaced == b.replaced && a.last_read == b.last_read;
  }
};

// How a pin ended. Plain data.
struct PinEnd {
  enum Reason { kNewContent, kUnpinned, kExpired };
  Reason reason = kNewContent;
  absl::Time end_time;
  int64_t version = 0;  // the pin's
};

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_SNAPSHOT_PIN_H_
