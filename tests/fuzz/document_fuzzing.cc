#include "tests/fuzz/document_fuzzing.h"

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "server/validate/file_syntax.h"
#include "server/validate/json_schema.h"
#include "server/validate/validator.h"
#include "tests/fuzz/fuzzing.h"

namespace confstream {
namespace {

// Between them they ask every kind of question that a schema can.
constexpr const char* kSchemas[] = {
    R"({"type": "object", "required": ["name", "port"], "additionalProperties": false,
        "properties": {
          "name": {"type": "string", "minLength": 1, "maxLength": 8, "pattern": "^[a-z]+$"},
          "port": {"type": "integer", "minimum": 1, "maximum": 65535},
          "mode": {"enum": ["fast", 1, null, {"a": [1]}]},
          "kind": {"const": "x"},
          "ratio": {"type": "number", "exclusiveMinimum": 0, "multipleOf": 0.5},
          "tags": {"type": "array", "items": {"type": "string"}, "uniqueItems": true,
                   "minItems": 1, "maxItems": 4}}})",
    R"({"definitions": {"node": {
          "type": ["object", "array", "null", "boolean"],
          "properties": {"next": {"$ref": "#/definitions/node"}},
          "patternProperties": {"^x-": {"type": "string"}},
          "additionalProperties": {"$ref": "#/definitions/node"},
          "propertyNames": {"maxLength": 6}, "minProperties": 1, "maxProperties": 5,
          "dependencies": {"next": ["kind"]}}},
        "$ref": "#/definitions/node"})",
    R"({"oneOf": [{"type": "array", "items": [{"type": "integer"}, true],
                   "additionalItems": false, "contains": {"const": 1}},
                  {"anyOf": [{"required": ["a"]}, {"required": ["b"]}],
                   "not": {"required": ["a", "b"]}},
                  {"allOf": [{"type": "string"}, {"minLength": 2}]}],
        "if": {"type": "object"}, "then": {"minProperties": 2}, "else": {"maxItems": 3}})",
};

const std::vector<std::shared_ptr<const JsonSchema>>& Schemas() {
  static const auto* const schemas = [] {
    auto* const parsed = new std::vector<std::shared_ptr<const JsonSchema>>;
    for (const char* text : kSchemas) parsed->push_back(*JsonSchema::Parse("schema.json", text));
    return parsed;
  }();
  return *schemas;
}

std::vector<Violation> Validate(absl::string_view path, absl::string_view bytes) {
  SourceConfig config;
  config.limits = TightLimits();
  Validator validator(config, nullptr);
  Generation generation;
  generation.files.push_back({std::string(path), std::make_shared<const FileContent>(FileContent{
                                                     std::string(bytes), Sha256::Of(bytes)})});
  return validator.Validate(generation).violations;
}

// nlohmann's own parser, which has no bounds, knows what JSON is.
void RequireSameAsJson(absl::string_view bytes, const DocumentTree& tree) {
  const auto parsed = nlohmann::json::parse(bytes.begin(), bytes.end(), nullptr, false);
  Require(!parsed.is_discarded(), "what passes is JSON");
  if (!tree.problems().empty()) return;  // a key that is there twice
  Require(tree.ToJson(tree.node(tree.roots().front())) == parsed,
          "the tree says what the file says");
}

void RequireJsonIsRefusedForAReason(absl::string_view bytes, const Violation& violation) {
  if (violation.rule != "json.syntax" || absl::StartsWith(bytes, "\xef\xbb\xbf") ||
      bytes.find('\0') != absl::string_view::npos) {
    return;
  }
  Require(!nlohmann::json::accept(bytes.begin(), bytes.end()), "what is JSON passes");
}

void CheckSchemas(absl::string_view path, absl::string_view bytes, const DocumentTree& tree) {
  for (const auto& schema : Schemas()) {
    ViolationList loud;
    ViolationList quiet;
    schema->Check(path, tree, true, &loud);
    schema->Check(path, tree, false, &quiet);
    Require(loud.total() == quiet.total(), "quoting or not, the same is refused");
    for (const Violation& violation : loud.kept()) RequireWithin(bytes, violation);
    for (const Violation& violation : quiet.kept()) RequireWithin(bytes, violation);
  }
}

}  // namespace

void RequireWithin(absl::string_view bytes, const Violation& violation) {
  RequirePrintable(violation.path);
  RequirePrintable(violation.rule);
  RequirePrintable(violation.message);
  // Every byte is at most `\xNN`; the message is cut before it is escaped.
  Require(violation.message.size() <= 4 * (kMaxViolationMessageBytes + 3), "messages are bounded");
  Require(!violation.message.empty(), "a violation says what is wrong");
  const auto lines = std::count(bytes.begin(), bytes.end(), '\n') + 1;
  Require(violation.line >= 0 && violation.line <= lines, "the line is one of the file");
  Require(violation.column >= 0 && violation.column <= static_cast<int64_t>(bytes.size()) + 1,
          "the column is one of the file");
  Require((violation.line == 0) == (violation.column == 0), "a place has both line and column");
}

void RequireWellFormed(const DocumentTree& tree) {
  Require(!tree.roots().empty(), "a file has a value");
  std::vector<NodeIndex> ahead = tree.roots();
  std::vector<char> seen;
  while (!ahead.empty()) {
    const NodeIndex index = ahead.back();
    ahead.pop_back();
    if (seen.size() <= index) seen.resize(index + 1, 0);
    if (std::exchange(seen[index], 1) != 0) continue;
    const DocumentNode& node = tree.node(index);
    std::vector<NodeIndex> children;
    if (node.kind == DocumentNode::kArray) {
      children.assign(tree.items(node).begin(), tree.items(node).end());
    } else if (node.kind == DocumentNode::kObject) {
      const DocumentMember* before = nullptr;
      for (const DocumentMember& member : tree.members(node)) {
        Require(before == nullptr || before->key < member.key, "members are in order and once");
        Require(tree.Find(node, member.key) == &member, "members are found");
        before = &member;
        children.push_back(member.value);
      }
    }
    uint32_t height = node.kind == DocumentNode::kScalar ? 0 : 1;
    for (const NodeIndex child : children) {
      height = std::max(height, tree.node(child).height + 1);
    }
    Require(node.height == height, "heights are right, so nothing contains itself");
    ahead.insert(ahead.end(), children.begin(), children.end());
  }
}

void FuzzDocument(absl::string_view path, absl::string_view bytes) {
  const std::vector<Violation> violations = Validate(path, bytes);
  Require(violations.size() <= 1, "syntax has one first error");
  const FileSyntax syntax = SyntaxOf(path);
  if (!violations.empty()) {
    RequireWithin(bytes, violations.front());
    if (syntax == FileSyntax::kJson) RequireJsonIsRefusedForAReason(bytes, violations.front());
    return;
  }
  const DocumentTree tree = ReadDocumentTree(path, bytes);
  if (syntax == FileSyntax::kJson) RequireSameAsJson(bytes, tree);
  for (const DocumentTree::Problem& problem : tree.problems()) {
    RequireWithin(bytes, MakeViolation(path, problem.place, "schema.data", problem.message));
  }
  if (!tree.problems().empty()) return;
  RequireWellFormed(tree);
  const int64_t most = static_cast<int64_t>(bytes.size()) + TightLimits().max_alias_nodes + 2;
  for (const NodeIndex root : tree.roots()) {
    Require(tree.CountNodes(tree.node(root), most + 1) <= most, "aliases are bounded");
  }
  CheckSchemas(path, bytes, tree);
}

}  // namespace confstream
