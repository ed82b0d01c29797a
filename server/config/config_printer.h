// The effective configuration as text.

#ifndef CONFSTREAM_SERVER_CONFIG_CONFIG_PRINTER_H_
#define CONFSTREAM_SERVER_CONFIG_CONFIG_PRINTER_H_

#include <map>
#include <string>
#include <utility>

#include "server/config/server_config.h"

namespace confstream {

// Where a value comes from: a place in the file, a flag or an environment variable. By the source's
// name (empty for server settings) and the setting's key. What has no entry is a default.
using ConfigOrigins = std::map<std::pair<std::string, std::string>, std::string>;

// `config` as a file that --config reads back to the same, every setting written out, with its
// origin as a comment.
std::string PrintConfig(const ServerConfig& config, const ConfigOrigins& origins);

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_CONFIG_CONFIG_PRINTER_H_
