#include "server/validate/schema_visitor.h"

#include <algorithm>
#include <utility>
#include <valijson/constraints/concrete_constraints.hpp>

#include "absl/strings/str_cat.h"

namespace confstream {
namespace {

using valijson::Subschema;

// Schemas inside one another, by nesting and reference: more than kHighestNesting values can need,
// and what the stack of a worker holds.
constexpr int kMaxSchemaDepth = 2000;
// Longest pointer in a message, in bytes.
constexpr size_t kMaxSubjectBytes = 80;

}  // namespace

SchemaVisitor::SchemaVisitor(absl::string_view path, const DocumentTree* tree,
                             const PatternSet* patterns, bool quotes_content, ViolationList* found)
    : path_(path),
      tree_(*tree),
      patterns_(*patterns),
      quotes_content_(quotes_content),
      found_(found) {}

void SchemaVisitor::Visit(const Subschema& schema, NodeIndex root) {
  const DocumentNode& node = tree_.node(root);
  Check(schema, node);
  if (steps_left_ >= 0 && !too_deep_) return;
  found_->Add(MakeViolation(
      path_, node.place(), "schema.cost",
      too_deep_
          ? "the schema refers to itself without end, or too often: correct it"
          : absl::StrCat("checking the document against the schema takes more than ", kMaxSteps,
                         " steps: split the file, or use less of anyOf and oneOf "
                         "in the schema")));
}

bool SchemaVisitor::Take(int64_t steps) {
  steps_left_ -= steps;
  return steps_left_ >= 0 && !too_deep_;
}

bool SchemaVisitor::Wants(TextPlace place) {
  if (found_ == nullptr || steps_left_ < 0 || too_deep_) return false;
  if (found_->Keeps(place)) return true;
  found_->Count();
  return false;
}

void SchemaVisitor::Report(TextPlace place, absl::string_view message) {
  found_->Add(MakeViolation(path_, place, kSchemaRule, absl::StrCat(Subject(), " ", message)));
}

std::string SchemaVisitor::Subject() const {
  if (!quotes_content_) return "the value";
  if (way_.empty()) return "the document";
  std::string pointer;
  for (const Step& step : way_) {
    absl::StrAppend(&pointer, "/");
    if (step.member != nullptr) {
      absl::StrAppend(&pointer, step.member->key.substr(0, kMaxSubjectBytes));
    } else {
      absl::StrAppend(&pointer, step.index);
    }
  }
  if (pointer.size() <= kMaxSubjectBytes) return pointer;
  size_t begin = pointer.size() - kMaxSubjectBytes;
  while (begin < pointer.size() && (static_cast<unsigned char>(pointer[begin]) & 0xc0) == 0x80) {
    ++begin;
  }
  return absl::StrCat("...", pointer.substr(begin));
}

bool SchemaVisitor::Check(const Subschema& schema, const DocumentNode& node) {
  if (!Take(1)) return false;
  if (depth_ >= kMaxSchemaDepth) too_deep_ = true;
  if (too_deep_) return false;
  const DocumentNode* const before = std::exchange(node_, &node);
  ++depth_;
  bool accepted = false;
  if (schema.getAlwaysInvalid()) {
    const bool at_key = !way_.empty() && way_.back().member != nullptr;
    accepted = Refuse(at_key ? way_.back().member->place() : node.place(),
                      [] { return "is not allowed by the schema"; });
  } else {
    Subschema::ApplyFunction apply = [this](const valijson::constraints::Constraint& constraint) {
      return constraint.accept(*this);
    };
    accepted = found_ != nullptr ? schema.apply(apply) : schema.applyStrict(apply);
  }
  --depth_;
  node_ = before;
  return accepted;
}

bool SchemaVisitor::CheckItem(const Subschema& schema, size_t index) {
  way_.push_back({nullptr, index});
  const bool accepted = Check(schema, tree_.node(tree_.items(*node_)[index]));
  way_.pop_back();
  return accepted;
}

bool SchemaVisitor::CheckMember(const Subschema& schema, const DocumentMember& member) {
  way_.push_back({&member, 0});
  const bool accepted = Check(schema, tree_.node(member.value));
  way_.pop_back();
  return accepted;
}

bool SchemaVisitor::Accepts(const Subschema& schema, const DocumentNode& node) {
  ViolationList* const found = std::exchange(found_, nullptr);
  const bool accepted = Check(schema, node);
  found_ = found;
  return accepted;
}

bool SchemaVisitor::visit(const AllOfConstraint& constraint) {
  bool accepted = true;
  constraint.applyToSubschemas([&](unsigned, const Subschema* schema) {
    accepted = Check(*schema, *node_) && accepted;
    return accepted || found_ != nullptr;
  });
  return accepted;
}

template <typename Constraint>
int64_t SchemaVisitor::CountAccepting(const Constraint& constraint, absl::string_view keyword) {
  int64_t accepting = 0;
  int64_t schemas = 0;
  std::vector<ViolationList> of_this_type;
  constraint.applyToSubschemas([&](unsigned, const Subschema* schema) {
    ++schemas;
    Alternative alternative;
    alternative.depth = way_.size();
    Alternative* const alternative_before = std::exchange(alternative_, &alternative);
    ViolationList* const found_before = found_;
    if (found_ != nullptr) found_ = &alternative.found;
    const bool accepted = Check(*schema, *node_);
    alternative_ = alternative_before;
    found_ = found_before;
    accepting += accepted ? 1 : 0;
    if (!accepted && !alternative.type_refused && found_ != nullptr && of_this_type.size() < 2) {
      of_this_type.push_back(std::move(alternative.found));
    }
    return true;
  });
  if (accepting > 0 || found_ == nullptr || !Take(0)) return accepting;
  if (of_this_type.size() == 1 && of_this_type.front().total() > 0) {
    found_->AddAll(of_this_type.front());
  } else {
    Refuse([&] { return absl::StrCat("matches none of the ", schemas, " schemas of ", keyword); });
  }
  return 0;
}

bool SchemaVisitor::visit(const AnyOfConstraint& constraint) {
  return CountAccepting(constraint, "anyOf") > 0;
}

bool SchemaVisitor::visit(const OneOfConstraint& constraint) {
  const int64_t accepting = CountAccepting(constraint, "oneOf");
  if (accepting <= 1) return accepting == 1;
  return Refuse([&] {
    return absl::StrCat("matches ", accepting, " of the schemas of oneOf, and may match one only");
  });
}

bool SchemaVisitor::visit(const NotConstraint& constraint) {
  if (!Accepts(*constraint.getSubschema(), *node_)) return true;
  return Refuse([] { return "is what the schema excludes (not)"; });
}

bool SchemaVisitor::visit(const ConditionalConstraint& constraint) {
  const Subschema* const schema = Accepts(*constraint.getIfSubschema(), *node_)
                                      ? constraint.getThenSubschema()
                                      : constraint.getElseSubschema();
  return schema == nullptr || Check(*schema, *node_);
}

bool SchemaVisitor::visit(const SingularItemsConstraint& constraint) {
  bool accepted = true;
  const Subschema* const schema = constraint.getItemsSubschema();
  if (!is_array() || schema == nullptr) return true;
  for (size_t i = 0; i < node_->count && (accepted || found_ != nullptr) && Take(0); ++i) {
    accepted = CheckItem(*schema, i) && accepted;
  }
  return accepted;
}

bool SchemaVisitor::visit(const LinearItemsConstraint& constraint) {
  bool accepted = true;
  if (!is_array()) return true;
  constraint.applyToItemSubschemas([&](unsigned index, const Subschema* schema) {
    if (index >= node_->count) return false;
    accepted = CheckItem(*schema, index) && accepted;
    return accepted || found_ != nullptr;
  });
  const Subschema* const rest = constraint.getAdditionalItemsSubschema();
  const size_t begin = constraint.getItemSubschemaCount();
  if (rest == nullptr && node_->count > begin) {
    return Refuse(
        [&] { return absl::StrCat("may have ", begin, " items at most, and has ", node_->count); });
  }
  for (size_t i = begin; i < node_->count && (accepted || found_ != nullptr) && Take(0); ++i) {
    accepted = CheckItem(*rest, i) && accepted;
  }
  return accepted;
}

bool SchemaVisitor::visit(const ContainsConstraint& constraint) {
  if (!is_array()) return true;
  for (const NodeIndex item : tree_.items(*node_)) {
    if (Accepts(*constraint.getSubschema(), tree_.node(item))) return true;
  }
  return Refuse([] { return "has no item that matches the schema of contains"; });
}

bool SchemaVisitor::visit(const PropertiesConstraint& constraint) {
  if (!is_object()) return true;
  const auto members = tree_.members(*node_);
  std::vector<bool> known(members.size());
  bool accepted = true;
  const auto check = [&](const DocumentMember& member, const Subschema* schema) {
    known[static_cast<size_t>(&member - members.data())] = true;
    accepted = CheckMember(*schema, member) && accepted;
  };
  constraint.applyToProperties([&](const auto& name, const Subschema* schema) {
    const DocumentMember* const member = tree_.Find(*node_, {name.data(), name.size()});
    if (member != nullptr) check(*member, schema);
    return (accepted || found_ != nullptr) && Take(1);
  });
  constraint.applyToPatternProperties([&](const auto& pattern, const Subschema* schema) {
    const std::string text(pattern.data(), pattern.size());
    for (const DocumentMember& member : members) {
      if (!Take(1)) return false;
      if (patterns_.Matches(text, member.key)) check(member, schema);
    }
    return accepted || found_ != nullptr;
  });
  const Subschema* const rest = constraint.getAdditionalPropertiesSubschema();
  for (size_t i = 0; i < members.size() && (accepted || found_ != nullptr) && Take(0); ++i) {
    if (known[i]) continue;
    if (rest != nullptr) {
      check(members[i], rest);
    } else {
      way_.push_back({&members[i], 0});
      accepted = Refuse(members[i].place(), [] { return "is not allowed by the schema"; });
      way_.pop_back();
    }
  }
  return accepted;
}

bool SchemaVisitor::visit(const PropertyNamesConstraint& constraint) {
  if (!is_object()) return true;
  bool accepted = true;
  for (const DocumentMember& member : tree_.members(*node_)) {
    DocumentNode name;
    name.line = member.line;
    name.column = member.column;
    name.scalar = member.key;
    if (Accepts(*constraint.getSubschema(), name)) continue;
    way_.push_back({&member, 0});
    accepted = Refuse(member.place(), [] { return "has a name that the schema does not allow"; });
    way_.pop_back();
    if (found_ == nullptr) break;
  }
  return accepted;
}

bool SchemaVisitor::visit(const RequiredConstraint& constraint) {
  if (!is_object()) return true;
  bool accepted = true;
  constraint.applyToRequiredProperties([&](const auto& name) {
    const absl::string_view key(name.data(), name.size());
    if (tree_.Find(*node_, key) == nullptr) {
      accepted = Refuse([&] { return absl::StrCat("has no `", key, "`, which is required"); });
    }
    return (accepted || found_ != nullptr) && Take(1);
  });
  return accepted;
}

bool SchemaVisitor::visit(const DependenciesConstraint& constraint) {
  if (!is_object()) return true;
  bool accepted = true;
  const auto has = [&](const auto& name) {
    return tree_.Find(*node_, {name.data(), name.size()}) != nullptr;
  };
  constraint.applyToPropertyDependencies([&](const auto& name, const auto& needed) {
    for (const auto& other : needed) {
      if (!Take(1) || !has(name) || has(other)) continue;
      accepted = Refuse([&] {
        return absl::StrCat("has `", absl::string_view(name.data(), name.size()), "` and no `",
                            absl::string_view(other.data(), other.size()),
                            "`, which that requires");
      });
    }
    return true;
  });
  constraint.applyToSchemaDependencies([&](const auto& name, const Subschema* schema) {
    if (has(name)) accepted = Check(*schema, *node_) && accepted;
    return true;
  });
  return accepted;
}

}  // namespace confstream
