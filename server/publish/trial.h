// What a source's settings and rules of today say of files that are not what is mounted.

#ifndef CONFSTREAM_SERVER_PUBLISH_TRIAL_H_
#define CONFSTREAM_SERVER_PUBLISH_TRIAL_H_

#include <memory>

#include "absl/status/status.h"
#include "server/snapshot/snapshot.h"
#include "server/snapshot/source_config.h"
#include "server/snapshot/source_control.h"
#include "server/validate/schema_set.h"

namespace confstream {

Generation GenerationOf(const Snapshot& snapshot);

// FAILED_PRECONDITION: `old` would not be published today; names the first violation.
absl::Status TryVersion(const SourceConfig& config, std::shared_ptr<const SchemaSet> schemas,
                        const Snapshot& old);

// REQUIRES: `files` passed a SettingsCheck.
DryRunResult TryFiles(const SourceConfig& config, std::shared_ptr<const SchemaSet> schemas,
                      const Generation& files);

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_PUBLISH_TRIAL_H_
