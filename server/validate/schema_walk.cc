#include "server/validate/schema_walk.h"

#include <algorithm>
#include <initializer_list>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"

namespace confstream {
namespace {

// A longer chain of references that lead to nothing but the next is taken for a circle.
constexpr int kMaxReferences = 100;
// valijson follows references by recursion, of 2 KiB a level at most: this many fit every stack.
constexpr int64_t kMaxLevels = 3000;

bool IsOneOf(absl::string_view key, std::initializer_list<absl::string_view> keys) {
  return std::find(keys.begin(), keys.end(), key) != keys.end();
}

// A token of a JSON pointer in a URI's fragment.
std::string Unescaped(absl::string_view token) {
  std::string out;
  for (size_t i = 0; i < token.size(); ++i) {
    if (token[i] == '%' && i + 2 < token.size() && absl::ascii_isxdigit(token[i + 1]) &&
        absl::ascii_isxdigit(token[i + 2])) {
      out += absl::HexStringToBytes(token.substr(i + 1, 2));
      i += 2;
    } else {
      out += token[i];
    }
  }
  return absl::StrReplaceAll(out, {{"~1", "/"}, {"~0", "~"}});
}

}  // namespace

std::vector<DocumentTree::Problem> SchemaWalk::Run() {
  const NodeIndex root = tree_.roots().front();
  levels_ = tree_.node(root).height;
  ahead_.push_back(root);
  while (!ahead_.empty()) {
    const NodeIndex next = ahead_.back();
    ahead_.pop_back();
    if (seen_.insert(next).second) Visit(next);
  }
  if (levels_ > kMaxLevels) {
    problems_.push_back({tree_.node(root).place(),
                         absl::StrCat("what its $refs lead to has more than ", kMaxLevels,
                                      " levels, counted together: split it into several schemas")});
  }
  return std::exchange(problems_, {});
}

void SchemaWalk::Visit(NodeIndex schema) {
  const DocumentNode& node = tree_.node(schema);
  if (node.kind != DocumentNode::kObject) return;
  if (const DocumentMember* reference = tree_.Find(node, "$ref")) {
    Follow(*reference);  // what stands beside it has no effect, says draft 7
    return;
  }
  for (const DocumentMember& keyword : tree_.members(node)) VisitKeyword(keyword);
}

void SchemaWalk::VisitKeyword(const DocumentMember& keyword) {
  const DocumentNode& value = tree_.node(keyword.value);
  if (IsOneOf(keyword.key, {"additionalItems", "additionalProperties", "contains", "else", "if",
                            "not", "propertyNames", "then"})) {
    ahead_.push_back(keyword.value);
  } else if (keyword.key == "items" && value.kind == DocumentNode::kObject) {
    ahead_.push_back(keyword.value);
  } else if (IsOneOf(keyword.key, {"allOf", "anyOf", "oneOf", "items", "definitions", "$defs",
                                   "dependencies", "patternProperties", "properties"})) {
    AddAll(value);
  }
  if (keyword.key == "patternProperties") {
    for (const DocumentMember& member : tree_.members(value)) {
      AddPattern(member.key, member.place());
    }
  } else if (keyword.key == "pattern") {
    AddPattern(value.scalar.get<std::string>(), value.place());
  }
}

void SchemaWalk::AddAll(const DocumentNode& list_or_map) {
  if (list_or_map.kind == DocumentNode::kArray) {
    for (const NodeIndex item : tree_.items(list_or_map)) ahead_.push_back(item);
  } else if (list_or_map.kind == DocumentNode::kObject) {
    for (const DocumentMember& member : tree_.members(list_or_map)) ahead_.push_back(member.value);
  }
}

void SchemaWalk::AddPattern(const std::string& pattern, TextPlace place) {
  const absl::Status status = patterns_.Add(pattern);
  if (status.ok()) return;
  problems_.push_back({place, absl::StrCat("RE2 cannot read the pattern: ", status.message(),
                                           ": write it otherwise")});
}

void SchemaWalk::Follow(const DocumentMember& reference) {
  const TextPlace place = tree_.node(reference.value).place();
  NodeIndex at = reference.value;
  for (int i = 0; i < kMaxReferences; ++i) {
    const absl::StatusOr<NodeIndex> target = Resolve(tree_.node(at).scalar.get<std::string>());
    if (!target.ok()) {
      problems_.push_back({place, std::string(target.status().message())});
      return;
    }
    const DocumentNode& node = tree_.node(*target);
    const DocumentMember* const next =
        node.kind == DocumentNode::kObject ? tree_.Find(node, "$ref") : nullptr;
    if (next == nullptr || !tree_.node(next->value).scalar.is_string()) {
      if (!referenced_.insert(*target).second) return;
      levels_ += node.height;
      if (is_schema_(*target)) ahead_.push_back(*target);
      return;
    }
    at = next->value;
  }
  problems_.push_back({place, "this $ref leads in a circle: let it end at a schema"});
}

absl::StatusOr<NodeIndex> SchemaWalk::Resolve(const std::string& reference) const {
  const auto nowhere = [&](absl::string_view why) {
    return absl::InvalidArgumentError(absl::StrCat("the $ref `", reference, "` ", why));
  };
  if (!absl::StartsWith(reference, "#")) {
    return nowhere(
        "leads out of this file, where nothing is fetched from: put the schema into "
        "`definitions` and refer to #/definitions/NAME");
  }
  if (reference.size() > 1 && reference[1] != '/') {
    return nowhere("is no JSON pointer: refer to #/definitions/NAME");
  }
  NodeIndex at = tree_.roots().front();
  for (const absl::string_view token :
       absl::StrSplit(reference.substr(1), '/', absl::SkipEmpty())) {
    const DocumentNode& node = tree_.node(at);
    const std::string name = Unescaped(token);
    size_t index = 0;
    if (node.kind == DocumentNode::kArray && absl::SimpleAtoi(name, &index) && index < node.count) {
      at = tree_.items(node)[index];
      continue;
    }
    const DocumentMember* member =
        node.kind == DocumentNode::kObject ? tree_.Find(node, name) : nullptr;
    if (member == nullptr) return nowhere("leads to nothing in this file: correct it");
    at = member->value;
  }
  return at;
}

}  // namespace confstream
