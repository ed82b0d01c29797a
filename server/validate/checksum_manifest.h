// The rules checksums.*.

#ifndef CONFSTREAM_SERVER_VALIDATE_CHECKSUM_MANIFEST_H_
#define CONFSTREAM_SERVER_VALIDATE_CHECKSUM_MANIFEST_H_

#include <string>

#include "server/snapshot/snapshot.h"
#include "server/validate/violation_list.h"

namespace confstream {

// Adds to `found` how the files of `generation` differ from what the file at `manifest`, one of
// them, says, which is written as by `sha256sum` for all others:
//   checksums.manifest   it is not there, or a line of it cannot be read, or names a file twice;
//   checksums.missing    a file that it lists is not there;
//   checksums.mismatch   a file has another digest;
//   checksums.unlisted   it does not list a file.
// The former three stand in the manifest's lines, the last has no place. Without `quotes_content`
// messages do not name the files that the manifest lists.
void CheckChecksums(const std::string& manifest, const Generation& generation, bool quotes_content,
                    ViolationList* found);

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_VALIDATE_CHECKSUM_MANIFEST_H_
