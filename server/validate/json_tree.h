// JSON as a DocumentTree.

#ifndef CONFSTREAM_SERVER_VALIDATE_JSON_TREE_H_
#define CONFSTREAM_SERVER_VALIDATE_JSON_TREE_H_

#include "absl/strings/string_view.h"
#include "server/validate/document_tree.h"

namespace confstream {

// A key that an object has twice is a problem. REQUIRES: CheckJsonSyntax found nothing.
DocumentTree ReadJsonTree(absl::string_view bytes);

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_VALIDATE_JSON_TREE_H_
