// The environment variables CONFSTREAM_*.

#ifndef CONFSTREAM_SERVER_CONFIG_ENVIRONMENT_H_
#define CONFSTREAM_SERVER_CONFIG_ENVIRONMENT_H_

#include <map>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "server/config/setting.h"

namespace confstream {

// Variables by name.
using Environment = std::map<std::string, std::string>;

// What the environment gives. Plain data.
struct EnvironmentConfig {
  std::optional<SettingText> config_file;
  ConfigLayer layer;
};

// Reads CONFSTREAM_CONFIG, CONFSTREAM_SOURCES (NAME=PATH, with commas or line breaks between) and
// one variable for each server setting. An empty variable counts as unset, and unknown ones are
// ignored: Kubernetes sets some of its own, such as CONFSTREAM_SERVICE_HOST, for a Service of that
// name.
EnvironmentConfig ReadEnvironment(const Environment& environment, absl::string_view directory);

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_CONFIG_ENVIRONMENT_H_
