// Looks at what a schema's text says before it is compiled.

#ifndef CONFSTREAM_SERVER_VALIDATE_SCHEMA_WALK_H_
#define CONFSTREAM_SERVER_VALIDATE_SCHEMA_WALK_H_

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/validate/document_tree.h"
#include "server/validate/pattern_set.h"

namespace confstream {

// Visits every schema inside a schema, and whatever their `$ref`s lead to: what the meta-schema
// cannot say of them, and valijson would not survive or would say without a place, is found here.
// Thread-compatible.
class SchemaWalk {
 public:
  // Adds the patterns of all of them to `patterns`. `is_schema` is asked of what only a `$ref` may
  // lead to, and tells by itself what is wrong; the root is known to be a schema. All outlive the
  // walk.
  SchemaWalk(const DocumentTree* tree, PatternSet* patterns,
             std::function<bool(NodeIndex)> is_schema)
      : tree_(*tree), patterns_(*patterns), is_schema_(std::move(is_schema)) {}

  // Returns what is wrong, with its places.
  std::vector<DocumentTree::Problem> Run();

 private:
  void Visit(NodeIndex schema);
  void VisitKeyword(const DocumentMember& keyword);
  void AddAll(const DocumentNode& list_or_map);
  void AddPattern(const std::string& pattern, TextPlace place);
  void Follow(const DocumentMember& reference);
  // Where the `$ref` leads in one step. INVALID_ARGUMENT: nowhere in this file.
  absl::StatusOr<NodeIndex> Resolve(const std::string& reference) const;

  const DocumentTree& tree_;
  PatternSet& patterns_;
  const std::function<bool(NodeIndex)> is_schema_;
  std::vector<NodeIndex> ahead_;
  absl::flat_hash_set<NodeIndex> seen_;
  absl::flat_hash_set<NodeIndex> referenced_;
  int64_t levels_ = 0;  // of the root and all in referenced_
  std::vector<DocumentTree::Problem> problems_;
};

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_VALIDATE_SCHEMA_WALK_H_
