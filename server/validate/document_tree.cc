#include "server/validate/document_tree.h"

#include <algorithm>

#include "server/validate/file_syntax.h"
#include "server/validate/json_tree.h"
#include "server/validate/toml_tree.h"
#include "server/validate/yaml_tree.h"

namespace confstream {

const DocumentMember* DocumentTree::Find(const DocumentNode& object, absl::string_view key) const {
  const auto all = members(object);
  const auto found = std::lower_bound(
      all.begin(), all.end(), key,
      [](const DocumentMember& member, absl::string_view wanted) { return member.key < wanted; });
  return found != all.end() && found->key == key ? &*found : nullptr;
}

int64_t DocumentTree::CountNodes(const DocumentNode& node, int64_t most) const {
  int64_t count = 1;
  const auto add = [&](NodeIndex child) {
    if (count < most) count += CountNodes(nodes_[child], most - count);
  };
  if (node.kind == DocumentNode::kArray) {
    for (const NodeIndex item : items(node)) add(item);
  } else if (node.kind == DocumentNode::kObject) {
    for (const DocumentMember& member : members(node)) add(member.value);
  }
  return count;
}

nlohmann::json DocumentTree::ToJson(const DocumentNode& node) const {
  if (node.kind == DocumentNode::kScalar) return node.scalar;
  if (node.kind == DocumentNode::kArray) {
    nlohmann::json array = nlohmann::json::array();
    for (const NodeIndex item : items(node)) array.push_back(ToJson(nodes_[item]));
    return array;
  }
  nlohmann::json object = nlohmann::json::object();
  for (const DocumentMember& member : members(node)) {
    object[member.key] = ToJson(nodes_[member.value]);
  }
  return object;
}

DocumentTree ReadDocumentTree(absl::string_view path, absl::string_view bytes) {
  switch (SyntaxOf(path)) {
    case FileSyntax::kYaml:
      return ReadYamlTree(bytes);
    case FileSyntax::kToml:
      return ReadTomlTree(bytes);
    default:
      return ReadJsonTree(bytes);
  }
}

}  // namespace confstream
