// The rules paths.required and paths.forbidden.

#ifndef CONFSTREAM_SERVER_VALIDATE_PATH_RULES_H_
#define CONFSTREAM_SERVER_VALIDATE_PATH_RULES_H_

#include "server/snapshot/snapshot.h"
#include "server/snapshot/source_config.h"
#include "server/validate/violation_list.h"

namespace confstream {

// Adds to `found` a violation of the source as a whole for each glob of `rules.required` that no
// file of `generation` matches, and one for each file that a glob of `rules.forbidden` matches.
void CheckPaths(const SourceRules& rules, const Generation& generation, ViolationList* found);

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_VALIDATE_PATH_RULES_H_
