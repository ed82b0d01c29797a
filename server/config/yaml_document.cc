#include "server/config/yaml_document.h"

#include <new>
#include <optional>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "server/base/text.h"
#include "server/snapshot/source_config.h"
#include "server/validate/file_violation.h"
#include "server/validate/yaml_syntax.h"

namespace confstream {
namespace {

// Far above what any configuration needs.
SourceLimits ConfigurationLimits() {
  SourceLimits limits;
  limits.max_nesting = 32;
  limits.max_alias_nodes = 100000;
  return limits;
}

absl::Status ErrorAt(absl::string_view name, int64_t line, int64_t column,
                     absl::string_view message) {
  return absl::InvalidArgumentError(absl::StrCat(name, ":", line, ":", column, ": ", message));
}

class LibyamlParser {
 public:
  explicit LibyamlParser(absl::string_view text) {
    if (yaml_parser_initialize(&parser_) == 0) throw std::bad_alloc();
    yaml_parser_set_input_string(&parser_, reinterpret_cast<const unsigned char*>(text.data()),
                                 text.size());
  }
  ~LibyamlParser() { yaml_parser_delete(&parser_); }
  LibyamlParser(const LibyamlParser&) = delete;
  LibyamlParser& operator=(const LibyamlParser&) = delete;

  // Reads the next document, which has no root node behind the last one.
  bool Load(yaml_document_t* document) { return yaml_parser_load(&parser_, document) != 0; }
  const char* problem() const { return parser_.problem; }
  const yaml_mark_t& problem_mark() const { return parser_.problem_mark; }

 private:
  yaml_parser_t parser_{};
};

}  // namespace

bool YamlNode::is_null() const {
  if (!is_scalar() || node_->data.scalar.style != YAML_PLAIN_SCALAR_STYLE) return false;
  const std::string value = text();
  return value.empty() || value == "~" || value == "null";
}

std::string YamlNode::text() const {
  return std::string(reinterpret_cast<const char*>(node_->data.scalar.value),
                     node_->data.scalar.length);
}

YamlNode YamlNode::At(int index) const {
  return {document_, yaml_document_get_node(document_, index)};
}

std::vector<YamlNode> YamlNode::elements() const {
  std::vector<YamlNode> elements;
  const auto& items = node_->data.sequence.items;
  for (const int* item = items.start; item != items.top; ++item) elements.push_back(At(*item));
  return elements;
}

std::vector<std::pair<YamlNode, YamlNode>> YamlNode::entries() const {
  std::vector<std::pair<YamlNode, YamlNode>> entries;
  const auto& pairs = node_->data.mapping.pairs;
  for (const yaml_node_pair_t* pair = pairs.start; pair != pairs.top; ++pair) {
    entries.emplace_back(At(pair->key), At(pair->value));
  }
  return entries;
}

void YamlDocument::Delete::operator()(yaml_document_t* document) const {
  yaml_document_delete(document);
  delete document;
}

absl::StatusOr<YamlDocument> YamlDocument::Parse(absl::string_view text, absl::string_view name) {
  const size_t invalid = FindInvalidUtf8(text);
  if (invalid != absl::string_view::npos) {
    const TextPlace place = PlaceOf(text, invalid);
    return ErrorAt(name, place.line, place.column, "this is not UTF-8: save the file as UTF-8");
  }
  if (const auto violation = CheckYamlSyntax(name, text, ConfigurationLimits())) {
    return ErrorAt(name, violation->line, violation->column, violation->message);
  }
  LibyamlParser parser(text);
  YamlDocument document;
  document.document_.reset(new yaml_document_t{});
  YamlDocument next;
  next.document_.reset(new yaml_document_t{});
  if (!parser.Load(document.document_.get()) || !parser.Load(next.document_.get())) {
    // What the events let pass and the tree does not.
    const yaml_mark_t& mark = parser.problem_mark();
    return ErrorAt(name, static_cast<int64_t>(mark.line) + 1, static_cast<int64_t>(mark.column) + 1,
                   parser.problem() == nullptr ? "no YAML" : parser.problem());
  }
  if (next.has_root()) {
    const YamlNode root = next.root();
    return ErrorAt(name, root.line(), root.column(),
                   "a second document begins here: put everything into the first");
  }
  return document;
}

}  // namespace confstream
