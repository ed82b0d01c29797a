#include "server/config/environment.h"

#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_split.h"
#include "server/config/command_line.h"

namespace confstream {
namespace {

std::vector<std::string> Elements(const std::string& value) {
  std::vector<std::string> elements;
  for (const absl::string_view element : absl::StrSplit(value, absl::ByAnyChar(",\n"))) {
    const absl::string_view trimmed = absl::StripAsciiWhitespace(element);
    if (!trimmed.empty()) elements.emplace_back(trimmed);
  }
  return elements;
}

}  // namespace

EnvironmentConfig ReadEnvironment(const Environment& environment, absl::string_view directory) {
  const auto find = [&](const std::string& name) -> std::optional<SettingText> {
    const auto found = environment.find(name);
    if (found == environment.end() || found->second.empty()) return std::nullopt;
    return SettingText{found->second, "", name, std::string(directory)};
  };
  EnvironmentConfig config;
  config.config_file = find("CONFSTREAM_CONFIG");
  if (const auto sources = find("CONFSTREAM_SOURCES")) {
    for (const std::string& element : Elements(sources->text)) {
      SettingText argument = *sources;
      argument.text = element;
      AddSourceArgument(argument, &config.layer);
    }
  }
  for (const Setting<ServerConfig>& setting : ServerSettings()) {
    const auto value = find(setting.variable());
    if (!value.has_value()) continue;
    GivenSetting& given = config.layer.server[setting.key];
    given.origin = setting.variable();
    if (!setting.is_list) {
      given.values.push_back(*value);
      continue;
    }
    for (const std::string& element : Elements(value->text)) {
      given.values.push_back(*value);
      given.values.back().text = element;
    }
  }
  return config;
}

}  // namespace confstream
