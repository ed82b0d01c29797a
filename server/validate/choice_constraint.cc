#include "server/validate/choice_constraint.h"

#include <algorithm>
#include <valijson/internal/adapter.hpp>

namespace confstream {
namespace {

nlohmann::json JsonOf(const valijson::adapters::Adapter& value) {
  if (value.isBool()) return value.getBool();
  if (value.isInteger()) return value.getInteger();
  if (value.isDouble()) return value.getDouble();
  if (value.isString()) return value.getString();
  if (value.isArray()) {
    nlohmann::json array = nlohmann::json::array();
    value.applyToArray([&](const valijson::adapters::Adapter& element) {
      array.push_back(JsonOf(element));
      return true;
    });
    return array;
  }
  if (value.isObject()) {
    nlohmann::json object = nlohmann::json::object();
    value.applyToObject([&](const std::string& key, const valijson::adapters::Adapter& member) {
      object[key] = JsonOf(member);
      return true;
    });
    return object;
  }
  return nullptr;
}

}  // namespace

bool ChoiceConstraint::validate(const valijson::adapters::Adapter& target,
                                const std::vector<std::string>&,
                                valijson::ValidationResults*) const {
  return std::find(values_.begin(), values_.end(), JsonOf(target)) != values_.end();
}

valijson::constraints::Constraint* ChoiceBuilder::make(
    const valijson::adapters::Adapter& value) const {
  const nlohmann::json json = JsonOf(value);
  if (is_list_) return new ChoiceConstraint(json.get<std::vector<nlohmann::json>>());
  return new ChoiceConstraint(std::vector<nlohmann::json>(1, json));
}

}  // namespace confstream
