// One file of a source on its way through validation.

#ifndef CONFSTREAM_TESTS_FUZZ_DOCUMENT_FUZZING_H_
#define CONFSTREAM_TESTS_FUZZ_DOCUMENT_FUZZING_H_

#include "absl/strings/string_view.h"
#include "server/snapshot/source_config.h"
#include "server/snapshot/violation.h"
#include "server/validate/document_tree.h"

namespace confstream {

// Bounds that small inputs reach.
inline SourceLimits TightLimits() {
  SourceLimits limits;
  limits.max_nesting = 20;
  limits.max_alias_nodes = 500;
  return limits;
}

// Requires that the violation is printable, and lies inside `bytes`, its file.
void RequireWithin(absl::string_view bytes, const Violation& violation);

// Requires that the tree is one: acyclic, heights right, members in order and once.
void RequireWellFormed(const DocumentTree& tree);

// Validates the file; if its syntax is right, builds its tree and checks it against fixed schemas.
// Requires of all of it what validation promises.
void FuzzDocument(absl::string_view path, absl::string_view bytes);

}  // namespace confstream

#endif  // CONFSTREAM_TESTS_FUZZ_DOCUMENT_FUZZING_H_
