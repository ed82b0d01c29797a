// g++ 12 warns falsely of `"text" + std::string`, which valijson has (GCC bug 105651).
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wrestrict"
#endif

#include "server/validate/json_schema.h"

#include <exception>
#include <utility>
#include <valijson/adapters/nlohmann_json_adapter.hpp>
#include <valijson/schema.hpp>
#include <valijson/schema_parser.hpp>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/base/text.h"
#include "server/validate/choice_constraint.h"
#include "server/validate/file_syntax.h"
#include "server/validate/json_syntax.h"
#include "server/validate/json_tree.h"
#include "server/validate/meta_schema.h"
#include "server/validate/schema_visitor.h"
#include "server/validate/schema_walk.h"
#include "server/validate/yaml_syntax.h"
#include "server/validate/yaml_tree.h"

namespace confstream {
namespace {

// The mistakes of one schema file.
class Mistakes {
 public:
  explicit Mistakes(absl::string_view path) : path_(path) {}

  void Add(TextPlace place, absl::string_view message) {
    found_.Add(MakeViolation(path_, place, "", message));
  }
  void Add(const Violation& violation) { found_.Add(violation); }
  void AddAll(const std::vector<DocumentTree::Problem>& problems) {
    for (const DocumentTree::Problem& problem : problems) Add(problem.place, problem.message);
  }
  ViolationList* found() { return &found_; }

  absl::Status status() const {
    if (found_.total() == 0) return absl::OkStatus();
    return absl::InvalidArgumentError(
        absl::StrJoin(found_.kept(), "\n", [](std::string* out, const Violation& violation) {
          absl::StrAppend(out, violation.path, ":", violation.line, ":", violation.column,
                          ": this is no JSON Schema of draft 7: ", violation.message);
        }));
  }

 private:
  const absl::string_view path_;
  ViolationList found_;
};

// If it finds nothing, the text has a tree.
std::optional<Violation> CheckSyntax(absl::string_view path, absl::string_view text, bool is_yaml) {
  const size_t invalid = FindInvalidUtf8(text);
  if (invalid != absl::string_view::npos) {
    return MakeViolation(path, PlaceOf(text, invalid), "", "this is not UTF-8");
  }
  const SourceLimits limits;
  return is_yaml ? CheckYamlSyntax(path, text, limits) : CheckJsonSyntax(path, text, limits);
}

// Puts each schema of `propertyNames` below `definitions` and a `$ref` in its place. valijson knows
// schemas that a `$ref` has led to by their paths, and gives the one of `propertyNames` the path of
// the schema around it: it would take the one for the other.
void MovePropertyNames(nlohmann::json* node, nlohmann::json* moved) {
  for (auto member = node->begin(); member != node->end(); ++member) {
    const std::string key = node->is_object() ? member.key() : "";
    if (key == "enum" || key == "const") continue;  // no schemas
    if (member->is_structured()) MovePropertyNames(&*member, moved);
    if (key != "propertyNames") continue;
    const std::string name = absl::StrCat("propertyNames ", moved->size());
    (*moved)[name] = std::move(*member);
    *member = {{"$ref", absl::StrCat("#/definitions/", name)}};
  }
}

// As valijson is to read it.
nlohmann::json CompilableJson(const DocumentTree& tree) {
  nlohmann::json document = tree.ToJson(tree.node(tree.roots().front()));
  nlohmann::json moved = nlohmann::json::object();
  if (document.is_object()) MovePropertyNames(&document, &moved);
  if (!moved.empty()) document["definitions"].update(moved);
  return document;
}

}  // namespace

JsonSchema::JsonSchema() = default;
JsonSchema::~JsonSchema() = default;

absl::StatusOr<std::shared_ptr<const JsonSchema>> JsonSchema::Parse(absl::string_view path,
                                                                    absl::string_view text) {
  const bool is_yaml = SyntaxOf(path) == FileSyntax::kYaml;
  Mistakes mistakes(path);
  if (const auto violation = CheckSyntax(path, text, is_yaml)) {
    mistakes.Add(*violation);
    return mistakes.status();
  }
  const DocumentTree tree = is_yaml ? ReadYamlTree(text) : ReadJsonTree(text);
  mistakes.AddAll(tree.problems());
  if (tree.roots().size() > 1) {
    mistakes.Add(tree.node(tree.roots()[1]).place(), "a second document begins here");
  }
  if (!mistakes.status().ok()) return mistakes.status();

  const auto meta = Compile(ReadJsonTree(kMetaSchema));
  if (!meta.ok()) return meta.status();
  (*meta)->Check(path, tree, true, mistakes.found());
  if (!mistakes.status().ok()) return mistakes.status();
  PatternSet patterns;
  SchemaWalk walk(&tree, &patterns, [&](NodeIndex referenced) {
    const int64_t before = mistakes.found()->total();
    (*meta)->CheckNode(path, tree, referenced, true, mistakes.found());
    return mistakes.found()->total() == before;
  });
  mistakes.AddAll(walk.Run());
  if (!mistakes.status().ok()) return mistakes.status();

  auto schema = Compile(tree);
  if (!schema.ok()) {
    mistakes.Add(tree.node(tree.roots().front()).place(), schema.status().message());
    return mistakes.status();
  }
  (*schema)->patterns_ = std::move(patterns);
  return std::shared_ptr<const JsonSchema>(*std::move(schema));
}

absl::StatusOr<std::shared_ptr<JsonSchema>> JsonSchema::Compile(const DocumentTree& tree) {
  const nlohmann::json document = CompilableJson(tree);
  auto compiled = std::make_unique<valijson::Schema>();
  try {
    valijson::SchemaParser parser(valijson::SchemaParser::kDraft7);
    parser.addConstraintBuilder("enum", new ChoiceBuilder(true));  // the parser deletes them
    parser.addConstraintBuilder("const", new ChoiceBuilder(false));
    parser.populateSchema(valijson::adapters::NlohmannJsonAdapter(document), *compiled);
  } catch (const std::exception& error) {
    return absl::InvalidArgumentError(error.what());
  }
  std::shared_ptr<JsonSchema> schema(new JsonSchema());
  schema->schema_ = std::move(compiled);
  return schema;
}

void JsonSchema::Check(absl::string_view path, const DocumentTree& tree, bool quotes_content,
                       ViolationList* found) const {
  for (const NodeIndex root : tree.roots()) CheckNode(path, tree, root, quotes_content, found);
}

void JsonSchema::CheckNode(absl::string_view path, const DocumentTree& tree, NodeIndex node,
                           bool quotes_content, ViolationList* found) const {
  SchemaVisitor(path, &tree, &patterns_, quotes_content, found).Visit(*schema_, node);
}

}  // namespace confstream
