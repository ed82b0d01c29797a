// Joins what file, environment and flags give.

#ifndef CONFSTREAM_SERVER_CONFIG_CONFIG_MERGE_H_
#define CONFSTREAM_SERVER_CONFIG_CONFIG_MERGE_H_

#include <string>
#include <vector>

#include "server/config/config_printer.h"
#include "server/config/server_config.h"
#include "server/config/setting.h"

namespace confstream {

// The configuration that `layers` make, the strongest last. The schema files that it names have
// been read, and are right if there are no errors.
struct MergedConfig {
  ServerConfig config;  // sources in byte order of their names
  ConfigOrigins origins;
  std::vector<std::string> errors;  // if there are any, `config` is not to be used
};

MergedConfig MergeLayers(const std::vector<ConfigLayer>& layers);

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_CONFIG_CONFIG_MERGE_H_
