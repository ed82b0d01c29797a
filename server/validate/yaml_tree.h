// YAML as a DocumentTree.

#ifndef CONFSTREAM_SERVER_VALIDATE_YAML_TREE_H_
#define CONFSTREAM_SERVER_VALIDATE_YAML_TREE_H_

#include "absl/strings/string_view.h"
#include "server/validate/document_tree.h"

namespace confstream {

// Plain scalars mean what the core schema of YAML 1.2 says; other tags than its own are texts. `<<`
// merges mappings. A file without documents has one, null, as most programs read it. Problems are a
// key that a mapping has twice, a key that is no scalar, and aliases that nest too deep.
// REQUIRES: CheckYamlSyntax found nothing, so that aliases are bounded.
DocumentTree ReadYamlTree(absl::string_view bytes);

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_VALIDATE_YAML_TREE_H_
