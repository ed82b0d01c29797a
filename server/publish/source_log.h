// What is said to people of one source, in the log and in its journal.

#ifndef CONFSTREAM_SERVER_PUBLISH_SOURCE_LOG_H_
#define CONFSTREAM_SERVER_PUBLISH_SOURCE_LOG_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "server/base/log.h"
#include "server/snapshot/pin.h"
#include "server/snapshot/snapshot.h"
#include "server/snapshot/source_config.h"
#include "server/snapshot/source_journal.h"
#include "server/snapshot/source_state.h"
#include "server/snapshot/violation.h"

namespace confstream {

// The rule of a source that has a history and was not read yet. Of that nothing is logged.
inline constexpr char kNotReadRule[] = "source.not_read";

// Thread-safe.
class SourceLog {
 public:
  // `log` outlives this.
  SourceLog(const SourceConfig& config, std::shared_ptr<SourceJournal> journal, Logger* log)
      : source_(config.name),
        sensitive_(config.sensitive),
        journal_(std::move(journal)),
        log_(log) {}

  void Restored(const Snapshot& snapshot) const;
  void Published(const Snapshot& snapshot) const;
  void Unchanged(int64_t version) const;
  void HeldOff() const;
  void Refused(const std::vector<Violation>& violations, int64_t total) const;
  void Stalled() const;
  // `renewed`: there was a pin to the same version.
  void Pinned(const Pin& pin, bool renewed) const;
  void PinEnded(const PinEnd& end) const;
  void SchemasLoaded() const;
  void SchemasNotLoaded(absl::string_view why) const;
  void MountWithoutUpdates(absl::string_view why) const;

  // Logs what has changed in what is wrong, if anything has. `before`: what was told last, or null.
  void Condition(const SourceState* before, const SourceState& now) const;

 private:
  const std::string source_;
  const bool sensitive_;
  const std::shared_ptr<SourceJournal> journal_;
  Logger* const log_;
};

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_PUBLISH_SOURCE_LOG_H_
