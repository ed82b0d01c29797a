// The configuration file.

#ifndef CONFSTREAM_SERVER_CONFIG_CONFIG_FILE_H_
#define CONFSTREAM_SERVER_CONFIG_CONFIG_FILE_H_

#include <cstddef>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/config/setting.h"

namespace confstream {

// A larger file is no configuration.
constexpr size_t kMaxConfigFileBytes = size_t{1} << 20;

// Reads the YAML file at `path`, absolute; messages call it `name`. What is wrong with its
// structure is in ConfigLayer::errors: an unknown key, a key that is there twice, a list where a
// text belongs, a source without path. Values are not looked at, that is ApplySettings' task.
// INVALID_ARGUMENT: the file cannot be read, or is no YAML.
absl::StatusOr<ConfigLayer> ReadConfigFile(const std::string& path, absl::string_view name);

// The same for the text of such a file; relative paths in it are relative to `directory`.
absl::StatusOr<ConfigLayer> ParseConfigFile(absl::string_view text, absl::string_view name,
                                            absl::string_view directory);

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_CONFIG_CONFIG_FILE_H_
