// Makes settings of each kind: how a field of Target is read from text and shown.

#ifndef CONFSTREAM_SERVER_CONFIG_SETTING_KINDS_H_
#define CONFSTREAM_SERVER_CONFIG_SETTING_KINDS_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "server/config/setting.h"

namespace confstream {

// Reaches a field of a setting's target.
template <typename Target, typename Value>
using Field = Value& (*)(Target&);

template <typename Target, typename Value>
const Value& Get(Field<Target, Value> field, const Target& target) {
  return field(const_cast<Target&>(target));  // `field` only takes the address
}

template <typename Target>
Setting<Target> MakeDuration(std::string key, Field<Target, absl::Duration> field,
                             absl::Duration least, absl::Duration most, std::string help) {
  Setting<Target> setting;
  setting.key = std::move(key);
  setting.value_name = "DURATION";
  setting.bounds = absl::StrCat(absl::FormatDuration(least), " to ", absl::FormatDuration(most));
  setting.help = std::move(help);
  setting.add = [field, least, most](const SettingText& given, Target* target) {
    const auto value = ParseDurationSetting(given.text, least, most);
    if (value.ok()) field(*target) = *value;
    return value.status();
  };
  setting.get = [field](const Target& target) -> std::vector<std::string> {
    return {absl::FormatDuration(Get(field, target))};
  };
  return setting;
}

template <typename Target>
Setting<Target> MakeSize(std::string key, Field<Target, int64_t> field, int64_t least, int64_t most,
                         std::string help) {
  Setting<Target> setting;
  setting.key = std::move(key);
  setting.value_name = "SIZE";
  setting.bounds = absl::StrCat(FormatSize(least), " to ", FormatSize(most));
  setting.help = std::move(help);
  setting.add = [field, least, most](const SettingText& given, Target* target) {
    const auto value = ParseSizeSetting(given.text, least, most);
    if (value.ok()) field(*target) = *value;
    return value.status();
  };
  setting.get = [field](const Target& target) -> std::vector<std::string> {
    return {FormatSize(Get(field, target))};
  };
  return setting;
}

// Number: int or int64_t.
template <typename Target, typename Number>
Setting<Target> MakeCount(std::string key, Field<Target, Number> field, Number least, Number most,
                          std::string help) {
  Setting<Target> setting;
  setting.key = std::move(key);
  setting.value_name = "NUMBER";
  setting.bounds = absl::StrCat(least, " to ", most);
  setting.help = std::move(help);
  setting.add = [field, least, most](const SettingText& given, Target* target) {
    const auto value = ParseCountSetting(given.text, least, most);
    if (value.ok()) field(*target) = static_cast<Number>(*value);
    return value.status();
  };
  setting.get = [field](const Target& target) -> std::vector<std::string> {
    return {absl::StrCat(Get(field, target))};
  };
  return setting;
}

template <typename Target>
Setting<Target> MakeSwitch(std::string key, Field<Target, bool> field, std::string help) {
  Setting<Target> setting;
  setting.key = std::move(key);
  setting.value_name = "true|false";
  setting.bounds = "true, false";
  setting.help = std::move(help);
  setting.is_switch = true;
  setting.add = [field](const SettingText& given, Target* target) {
    const auto value = ParseSwitchSetting(given.text);
    if (value.ok()) field(*target) = *value;
    return value.status();
  };
  setting.get = [field](const Target& target) -> std::vector<std::string> {
    return {Get(field, target) ? "true" : "false"};
  };
  return setting;
}

// A text that may be empty, as it is by default; `parse` makes the field out of any other.
template <typename Target, typename Parse>
Setting<Target> MakeText(std::string key, std::string value_name, std::string bounds,
                         Field<Target, std::string> field, Parse parse, std::string help) {
  Setting<Target> setting;
  setting.key = std::move(key);
  setting.value_name = std::move(value_name);
  setting.bounds = std::move(bounds);
  setting.help = std::move(help);
  setting.add = [field, parse](const SettingText& given, Target* target) {
    absl::StatusOr<std::string> text = std::string();
    if (!given.text.empty()) text = parse(given);
    if (!text.ok()) return text.status();
    field(*target) = *std::move(text);
    return absl::OkStatus();
  };
  setting.get = [field](const Target& target) -> std::vector<std::string> {
    return {Get(field, target)};
  };
  return setting;
}

// `parse` makes an element from a SettingText, `format` a text that it reads again.
template <typename Target, typename Element, typename Parse, typename Format>
Setting<Target> MakeList(std::string key, std::string value_name, std::string bounds,
                         Field<Target, std::vector<Element>> field, Parse parse, Format format,
                         std::string help) {
  Setting<Target> setting;
  setting.key = std::move(key);
  setting.value_name = std::move(value_name);
  setting.bounds = std::move(bounds);
  setting.help = std::move(help);
  setting.is_list = true;
  setting.add = [field, parse](const SettingText& given, Target* target) {
    auto element = parse(given);
    if (!element.ok()) return element.status();
    field(*target).push_back(*std::move(element));
    return absl::OkStatus();
  };
  setting.clear = [field](Target* target) { field(*target).clear(); };
  setting.get = [field, format](const Target& target) {
    std::vector<std::string> texts;
    for (const Element& element : Get(field, target)) texts.push_back(format(element));
    return texts;
  };
  return setting;
}

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_CONFIG_SETTING_KINDS_H_
