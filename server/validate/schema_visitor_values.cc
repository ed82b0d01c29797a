// The part of SchemaVisitor that looks at single values.

#include <algorithm>
#include <cmath>
#include <valijson/constraints/concrete_constraints.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/validate/choice_constraint.h"
#include "server/validate/schema_visitor.h"

namespace confstream {
namespace {

// Longest list of choices in a message, in bytes.
constexpr size_t kMaxChoicesBytes = 100;

bool IsInteger(const nlohmann::json& value) {
  if (value.is_number_integer()) return true;
  if (!value.is_number_float()) return false;
  const double number = value.get<double>();
  return std::isfinite(number) && std::trunc(number) == number;
}

std::string KindOf(const DocumentNode& node) {
  if (node.kind == DocumentNode::kArray) return "an array";
  if (node.kind == DocumentNode::kObject) return "an object";
  if (node.scalar.is_null()) return "null";
  if (node.scalar.is_boolean()) return "a boolean";
  if (node.scalar.is_string()) return "a string";
  return IsInteger(node.scalar) ? "an integer" : "a number";
}

std::string NumberText(double number) {
  if (std::trunc(number) == number && std::abs(number) < 1e15) {
    return absl::StrCat(static_cast<int64_t>(number));
  }
  return nlohmann::json(number).dump();
}

std::string Times(uint64_t count, absl::string_view one) {
  return absl::StrCat(count, " ", one, count == 1 ? "" : "s");
}

uint64_t LengthOf(absl::string_view text) {
  return static_cast<uint64_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  }));
}

std::string ChoicesText(const std::vector<nlohmann::json>& choices) {
  std::string text =
      absl::StrJoin(choices, ", ", [](std::string* out, const nlohmann::json& choice) {
        absl::StrAppend(out, choice.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
      });
  if (text.size() <= kMaxChoicesBytes) return text;
  size_t end = kMaxChoicesBytes;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  return absl::StrCat(text.substr(0, end), "...");
}

const char* TypeName(valijson::constraints::TypeConstraint::JsonType type) {
  using Type = valijson::constraints::TypeConstraint;
  switch (type) {
    case Type::kArray:
      return "an array";
    case Type::kBoolean:
      return "a boolean";
    case Type::kInteger:
      return "an integer";
    case Type::kNull:
      return "null";
    case Type::kNumber:
      return "a number";
    case Type::kObject:
      return "an object";
    case Type::kString:
      return "a string";
    default:
      return "anything";
  }
}

bool IsOfType(const DocumentNode& node, valijson::constraints::TypeConstraint::JsonType type) {
  using Type = valijson::constraints::TypeConstraint;
  const bool scalar = node.kind == DocumentNode::kScalar;
  switch (type) {
    case Type::kArray:
      return node.kind == DocumentNode::kArray;
    case Type::kBoolean:
      return node.scalar.is_boolean();
    case Type::kInteger:
      return IsInteger(node.scalar);
    case Type::kNull:
      return scalar && node.scalar.is_null();
    case Type::kNumber:
      return node.scalar.is_number();
    case Type::kObject:
      return node.kind == DocumentNode::kObject;
    case Type::kString:
      return node.scalar.is_string();
    default:
      return true;
  }
}

}  // namespace

bool SchemaVisitor::visit(const TypeConstraint& constraint) {
  std::vector<std::string> allowed;
  bool accepted = false;
  constraint.applyToNamedTypes([&](TypeConstraint::JsonType type) {
    accepted = accepted || IsOfType(*node_, type);
    allowed.emplace_back(TypeName(type));
    return !accepted;
  });
  if (accepted) return true;
  if (found_ != nullptr && alternative_ != nullptr && alternative_->depth == way_.size()) {
    alternative_->type_refused = true;
  }
  return Refuse([&] {
    return absl::StrCat("must be ", absl::StrJoin(allowed, " or "), ", and is ", KindOf(*node_));
  });
}

// ChoiceConstraint takes the place of both.
bool SchemaVisitor::visit(const ConstConstraint&) { return true; }
bool SchemaVisitor::visit(const EnumConstraint&) { return true; }

bool SchemaVisitor::visit(const PolyConstraint& constraint) {
  const auto& choices = dynamic_cast<const ChoiceConstraint&>(constraint).values();
  const bool scalar = node_->kind == DocumentNode::kScalar;
  if (!scalar && !Take(tree_.CountNodes(*node_, steps_left_))) return false;
  const nlohmann::json value = tree_.ToJson(*node_);
  if (std::find(choices.begin(), choices.end(), value) != choices.end()) return true;
  return Refuse([&] {
    return absl::StrCat("must be ", choices.size() == 1 ? "" : "one of ", ChoicesText(choices));
  });
}

bool SchemaVisitor::visit(const FormatConstraint&) { return true; }

bool SchemaVisitor::visit(const MaximumConstraint& constraint) {
  if (!is_number()) return true;
  const double most = constraint.getMaximum();
  const double number = node_->scalar.get<double>();
  const bool exclusive = constraint.getExclusiveMaximum();
  if (exclusive ? number < most : number <= most) return true;
  return Refuse([&] {
    return absl::StrCat("must be ", exclusive ? "less than " : "at most ", NumberText(most));
  });
}

bool SchemaVisitor::visit(const MinimumConstraint& constraint) {
  if (!is_number()) return true;
  const double least = constraint.getMinimum();
  const double number = node_->scalar.get<double>();
  const bool exclusive = constraint.getExclusiveMinimum();
  if (exclusive ? number > least : number >= least) return true;
  return Refuse([&] {
    return absl::StrCat("must be ", exclusive ? "more than " : "at least ", NumberText(least));
  });
}

bool SchemaVisitor::visit(const MultipleOfIntConstraint& constraint) {
  if (!is_number()) return true;
  const int64_t divisor = constraint.getDivisor();
  const bool accepted =
      node_->scalar.is_number_integer()
          ? node_->scalar.get<int64_t>() % divisor == 0
          : std::fmod(node_->scalar.get<double>(), static_cast<double>(divisor)) == 0;
  return accepted || Refuse([&] { return absl::StrCat("must be a multiple of ", divisor); });
}

bool SchemaVisitor::visit(const MultipleOfDoubleConstraint& constraint) {
  if (!is_number()) return true;
  const double divisor = constraint.getDivisor();
  const double quotient = node_->scalar.get<double>() / divisor;
  // Neither 0.01 nor 19.99 is exactly what it is written as.
  const double off = std::abs(quotient - std::round(quotient));
  if (off <= 1e-9 * std::max(1.0, std::abs(quotient))) return true;
  return Refuse([&] { return absl::StrCat("must be a multiple of ", NumberText(divisor)); });
}

bool SchemaVisitor::visit(const MaxLengthConstraint& constraint) {
  if (text() == nullptr || LengthOf(*text()) <= constraint.getMaxLength()) return true;
  return Refuse([&] {
    return absl::StrCat("must have at most ", Times(constraint.getMaxLength(), "character"));
  });
}

bool SchemaVisitor::visit(const MinLengthConstraint& constraint) {
  if (text() == nullptr || LengthOf(*text()) >= constraint.getMinLength()) return true;
  return Refuse([&] {
    return absl::StrCat("must have at least ", Times(constraint.getMinLength(), "character"));
  });
}

bool SchemaVisitor::visit(const PatternConstraint& constraint) {
  if (text() == nullptr) return true;
  const std::string pattern = constraint.getPattern(std::allocator<char>());
  if (patterns_.Matches(pattern, *text())) return true;
  return Refuse([&] { return absl::StrCat("must match the pattern ", pattern); });
}

bool SchemaVisitor::visit(const MaxItemsConstraint& constraint) {
  if (!is_array() || node_->count <= constraint.getMaxItems()) return true;
  return Refuse([&] {
    return absl::StrCat("must have at most ", Times(constraint.getMaxItems(), "item"), ", and has ",
                        node_->count);
  });
}

bool SchemaVisitor::visit(const MinItemsConstraint& constraint) {
  if (!is_array() || node_->count >= constraint.getMinItems()) return true;
  return Refuse([&] {
    return absl::StrCat("must have at least ", Times(constraint.getMinItems(), "item"),
                        ", and has ", node_->count);
  });
}

bool SchemaVisitor::visit(const MaxPropertiesConstraint& constraint) {
  if (!is_object() || node_->count <= constraint.getMaxProperties()) return true;
  return Refuse([&] {
    return absl::StrCat("must have at most ", Times(constraint.getMaxProperties(), "key"),
                        ", and has ", node_->count);
  });
}

bool SchemaVisitor::visit(const MinPropertiesConstraint& constraint) {
  if (!is_object() || node_->count >= constraint.getMinProperties()) return true;
  return Refuse([&] {
    return absl::StrCat("must have at least ", Times(constraint.getMinProperties(), "key"),
                        ", and has ", node_->count);
  });
}

bool SchemaVisitor::visit(const UniqueItemsConstraint&) {
  if (!is_array() || !Take(tree_.CountNodes(*node_, steps_left_))) return true;
  std::vector<std::pair<nlohmann::json, size_t>> values;
  for (const NodeIndex item : tree_.items(*node_)) {
    values.emplace_back(tree_.ToJson(tree_.node(item)), values.size());
  }
  std::sort(values.begin(), values.end());
  bool accepted = true;
  for (size_t i = 1; i < values.size(); ++i) {
    if (values[i].first != values[i - 1].first) continue;
    const NodeIndex again = tree_.items(*node_)[values[i].second];
    accepted = Refuse(tree_.node(again).place(), [&] {
      return absl::StrCat("must not have equal items, and those at ", values[i - 1].second, " and ",
                          values[i].second, " are");
    });
  }
  return accepted;
}

}  // namespace confstream
