// A YAML text as a tree of nodes that know their place.

#ifndef CONFSTREAM_SERVER_CONFIG_YAML_DOCUMENT_H_
#define CONFSTREAM_SERVER_CONFIG_YAML_DOCUMENT_H_

#include <yaml.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace confstream {

class YamlDocument;

// A node of a YamlDocument, which must outlive it. Thread-compatible.
class YamlNode {
 public:
  bool is_mapping() const { return node_->type == YAML_MAPPING_NODE; }
  bool is_sequence() const { return node_->type == YAML_SEQUENCE_NODE; }
  // A text, which may be empty; whether it was quoted does not matter.
  bool is_scalar() const { return node_->type == YAML_SCALAR_NODE; }
  // Nothing was written where a value belongs, or `~` or `null`.
  bool is_null() const;

  // REQUIRES: is_scalar().
  std::string text() const;
  // REQUIRES: is_sequence().
  std::vector<YamlNode> elements() const;
  // Keys and values as written, doubled keys included. REQUIRES: is_mapping().
  std::vector<std::pair<YamlNode, YamlNode>> entries() const;

  // From 1; columns in characters.
  int64_t line() const { return static_cast<int64_t>(node_->start_mark.line) + 1; }
  int64_t column() const { return static_cast<int64_t>(node_->start_mark.column) + 1; }

 private:
  friend class YamlDocument;
  YamlNode(yaml_document_t* document, yaml_node_t* node) : document_(document), node_(node) {}
  YamlNode At(int index) const;

  yaml_document_t* document_;
  yaml_node_t* node_;
};

// One parsed document. Movable; thread-compatible.
class YamlDocument {
 public:
  // Parses a text of exactly one document. INVALID_ARGUMENT: it is not UTF-8, no YAML, nests or
  // refers too much for a configuration, or holds more than one document; the message begins
  // with NAME:LINE:COLUMN.
  static absl::StatusOr<YamlDocument> Parse(absl::string_view text, absl::string_view name);

  // False: the text holds nothing but comments.
  bool has_root() const { return yaml_document_get_root_node(document_.get()) != nullptr; }
  // REQUIRES: has_root().
  YamlNode root() const { return {document_.get(), yaml_document_get_root_node(document_.get())}; }

 private:
  struct Delete {
    void operator()(yaml_document_t* document) const;
  };

  YamlDocument() = default;

  std::unique_ptr<yaml_document_t, Delete> document_;
};

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_CONFIG_YAML_DOCUMENT_H_
