// The keywords `enum` and `const` of a JSON Schema.

#ifndef CONFSTREAM_SERVER_VALIDATE_CHOICE_CONSTRAINT_H_
#define CONFSTREAM_SERVER_VALIDATE_CHOICE_CONSTRAINT_H_

#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <valijson/constraint_builder.hpp>
#include <valijson/constraints/concrete_constraints.hpp>
#include <vector>

namespace confstream {

// valijson's own constraints of these keywords do not say what they would accept, which is what
// somebody who wrote something else wants to know. Immutable.
class ChoiceConstraint final : public valijson::constraints::PolyConstraint {
 public:
  explicit ChoiceConstraint(std::vector<nlohmann::json> values) : values_(std::move(values)) {}

  const std::vector<nlohmann::json>& values() const { return values_; }

  bool validate(const valijson::adapters::Adapter& target, const std::vector<std::string>& context,
                valijson::ValidationResults* results) const override;

 private:
  Constraint* cloneInto(void* memory) const override {
    return new (memory) ChoiceConstraint(*this);
  }
  size_t sizeOf() const override { return sizeof(ChoiceConstraint); }

  std::vector<nlohmann::json> values_;
};

// Makes one of an array of values, or of one value.
class ChoiceBuilder final : public valijson::ConstraintBuilder {
 public:
  explicit ChoiceBuilder(bool is_list) : is_list_(is_list) {}

  valijson::constraints::Constraint* make(const valijson::adapters::Adapter& value) const override;

 private:
  const bool is_list_;
};

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_VALIDATE_CHOICE_CONSTRAINT_H_
