#include "server/base/config_reloads.h"

#include "server/base/text.h"

namespace confstream {

void ConfigReloads::NoteLoaded(absl::Time now) {
  MutexLock lock(&mu_);
  status_ = {now, std::nullopt, ""};
}

void ConfigReloads::NoteRefused(absl::Time now, absl::string_view reason) {
  MutexLock lock(&mu_);
  status_.refusal_time = now;
  status_.refusal_reason = LinesForDisplay(reason, kMaxReasonBytes);
}

ConfigStatus ConfigReloads::status() const {
  MutexLock lock(&mu_);
  return status_;
}

}  // namespace confstream
