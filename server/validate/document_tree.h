// What a YAML, JSON or TOML file says, as a tree that knows where it says it.

#ifndef CONFSTREAM_SERVER_VALIDATE_DOCUMENT_TREE_H_
#define CONFSTREAM_SERVER_VALIDATE_DOCUMENT_TREE_H_

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "server/validate/file_violation.h"

namespace confstream {

// Names a node of a DocumentTree.
using NodeIndex = uint32_t;

// One value, in JSON's terms. Plain data.
struct DocumentNode {
  enum Kind : uint8_t { kScalar, kArray, kObject };

  Kind kind = kScalar;
  uint32_t line = 1;
  uint32_t column = 1;
  uint32_t first = 0;     // of its items or members in the tree
  uint32_t count = 0;     // of them
  uint32_t height = 0;    // arrays and objects on the longest way down, itself included
  nlohmann::json scalar;  // null, a boolean, a number or a text

  TextPlace place() const { return {line, column}; }
};

// A property of an object.
struct DocumentMember {
  std::string key;
  uint32_t line = 1;  // of the key
  uint32_t column = 1;
  NodeIndex value = 0;

  TextPlace place() const { return {line, column}; }
};

// All documents of a file. What an alias of YAML refers to is there once and has many parents, so
// memory is in the order of the file. Immutable once built, so thread-safe.
class DocumentTree {
 public:
  // Something that JSON, and so a schema, has no words for.
  struct Problem {
    TextPlace place;
    std::string message;
  };

  // The values of the documents, one for each.
  const std::vector<NodeIndex>& roots() const { return roots_; }
  // If there are any, the rest of the tree is not to be used.
  const std::vector<Problem>& problems() const { return problems_; }

  const DocumentNode& node(NodeIndex index) const { return nodes_[index]; }
  // Of an array, in order.
  absl::Span<const NodeIndex> items(const DocumentNode& array) const {
    return absl::MakeConstSpan(items_).subspan(array.first, array.count);
  }
  // Of an object, in byte order of keys, each there once.
  absl::Span<const DocumentMember> members(const DocumentNode& object) const {
    return absl::MakeConstSpan(members_).subspan(object.first, object.count);
  }
  // Null: the object has no such member.
  const DocumentMember* Find(const DocumentNode& object, absl::string_view key) const;

  // How many nodes ToJson would copy, aliases expanded; no more than `most` are counted.
  int64_t CountNodes(const DocumentNode& node, int64_t most) const;
  // A copy without places, aliases expanded.
  nlohmann::json ToJson(const DocumentNode& node) const;

 private:
  friend class DocumentTreeBuilder;

  std::vector<DocumentNode> nodes_;
  std::vector<NodeIndex> items_;
  std::vector<DocumentMember> members_;
  std::vector<NodeIndex> roots_;
  std::vector<Problem> problems_;
};

// Reads a file that has passed the check of its syntax; which syntax says SyntaxOf(path).
// REQUIRES: it is none that is opaque.
DocumentTree ReadDocumentTree(absl::string_view path, absl::string_view bytes);

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_VALIDATE_DOCUMENT_TREE_H_
