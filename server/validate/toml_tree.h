// TOML as a DocumentTree.

#ifndef CONFSTREAM_SERVER_VALIDATE_TOML_TREE_H_
#define CONFSTREAM_SERVER_VALIDATE_TOML_TREE_H_

#include "absl/strings/string_view.h"
#include "server/validate/document_tree.h"

namespace confstream {

// Dates and times become texts, as they are written in RFC 3339. REQUIRES: CheckTomlSyntax found
// nothing.
DocumentTree ReadTomlTree(absl::string_view bytes);

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_VALIDATE_TOML_TREE_H_
