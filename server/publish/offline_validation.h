// What the server would say of files, without a server.

#ifndef CONFSTREAM_SERVER_PUBLISH_OFFLINE_VALIDATION_H_
#define CONFSTREAM_SERVER_PUBLISH_OFFLINE_VALIDATION_H_

#include <string>

#include "server/base/clock.h"
#include "server/base/file_system.h"
#include "server/snapshot/source_config.h"

namespace confstream {

// Plain data.
struct OfflineReport {
  static constexpr int kValid = 0;
  static constexpr int kInvalid = 1;
  static constexpr int kCannotTell = 2;  // the files or a schema cannot be read

  int exit_code = kCannotTell;
  // A line for each violation, `PATH:LINE:COLUMN: RULE: MESSAGE` (without LINE and COLUMN where
  // there is none; PATH is `.` for the source as a whole), and one that sums up. With kCannotTell:
  // why.
  std::string text;
};

// Reads the files at `source.path` just as the server does (links, exclusions, limits), but for
// waiting until they settle, and checks them by the rules of `source`.
OfflineReport ValidateOffline(const SourceConfig& source, const Clock* clock,
                              FileSystem* file_system);

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_PUBLISH_OFFLINE_VALIDATION_H_
