// What became of the server's own configuration when it was last loaded.

#ifndef CONFSTREAM_SERVER_BASE_CONFIG_RELOADS_H_
#define CONFSTREAM_SERVER_BASE_CONFIG_RELOADS_H_

#include <cstddef>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "server/base/mutex.h"

namespace confstream {

// As confstream.v1.ConfigStatus.
struct ConfigStatus {
  absl::Time load_time;                    // of the configuration in force
  std::optional<absl::Time> refusal_time;  // since then; unset: none was refused
  std::string refusal_reason;
};

// Written on SIGHUP, read by whoever asks. Thread-safe.
class ConfigReloads {
 public:
  static constexpr size_t kMaxReasonBytes = 4096;

  explicit ConfigReloads(absl::Time started) { NoteLoaded(started); }

  void NoteLoaded(absl::Time now);
  // `reason`, a line for each mistake, is made printable, and cut if it is long.
  void NoteRefused(absl::Time now, absl::string_view reason);

  ConfigStatus status() const;

 private:
  mutable Mutex mu_;
  ConfigStatus status_ ABSL_GUARDED_BY(mu_);
};

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_BASE_CONFIG_RELOADS_H_
