// Makes the server's configuration out of flags, environment and file.

#ifndef CONFSTREAM_SERVER_CONFIG_CONFIG_LOADER_H_
#define CONFSTREAM_SERVER_CONFIG_CONFIG_LOADER_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/config/command_line.h"
#include "server/config/config_printer.h"
#include "server/config/environment.h"
#include "server/config/server_config.h"

namespace confstream {

// Each setting is taken from the first that gives it: flag, environment variable, file, default. A
// list is taken whole. Sources are joined by name: --source and CONFSTREAM_SOURCES add a source, or
// give another path to one that the file has, which keeps its other settings. Immutable after
// construction, so thread-safe.
class ConfigLoader {
 public:
  // What the program is to do. `config` is set if it is to serve, `validate` if it is to check the
  // files at the path of that source by its rules; otherwise it prints `text`, to standard output
  // if `exit_code` is 0 and to standard error if not, and exits.
  struct Start {
    std::optional<ServerConfig> config;
    std::optional<SourceConfig> validate;
    int exit_code = 0;
    std::string text;
  };

  // The exit code for a bad configuration, flags included.
  static constexpr int kBadConfigExitCode = 2;

  // As main gets them; `environment` is a null-terminated array of NAME=VALUE. All of it is copied,
  // and so is the working directory, which relative paths in flags and environment are relative to.
  ConfigLoader(int argc, const char* const* argv, const char* const* environment);
  // `arguments` without the program's name; `directory` is absolute.
  ConfigLoader(std::vector<std::string> arguments, Environment environment, std::string directory);

  // What the flags ask for: to be called once at the start.
  Start Begin() const;

  // The configuration as it is now: the file is read anew. To be called again on SIGHUP.
  // INVALID_ARGUMENT: something is wrong; the message has a line for each thing, with its place and
  // remedy.
  absl::StatusOr<ServerConfig> Load() const;

 private:
  struct Loaded {
    ServerConfig config;
    ConfigOrigins origins;
  };

  absl::StatusOr<Loaded> LoadFor(const CommandLine& line) const;
  // The source that --validate names, with the directory that it names as its path.
  static absl::StatusOr<SourceConfig> SourceToValidate(const SettingText& argument,
                                                       const ServerConfig& config);

  const std::vector<std::string> arguments_;
  const Environment environment_;
  const std::string directory_;
};

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_CONFIG_CONFIG_LOADER_H_
