// The flags of confstreamd.

#ifndef CONFSTREAM_SERVER_CONFIG_COMMAND_LINE_H_
#define CONFSTREAM_SERVER_CONFIG_COMMAND_LINE_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/config/setting.h"

namespace confstream {

// What the flags ask for. Plain data.
struct CommandLine {
  enum class Action { kServe, kCheckConfig, kPrintConfig, kValidate, kHelp, kVersion };

  Action action = Action::kServe;
  std::optional<SettingText> config_file;
  std::optional<SettingText> validate;  // with kValidate: DIR, or NAME=DIR
  ConfigLayer layer;                    // server settings and sources
};

// Reads the arguments behind the program's name; relative paths are relative to `directory`.
// INVALID_ARGUMENT: an unknown flag, a flag without its value, or one that is there twice though it
// takes one value.
absl::StatusOr<CommandLine> ParseCommandLine(const std::vector<std::string>& arguments,
                                             absl::string_view directory);

// What --help prints.
std::string HelpText();

// Adds `NAME=PATH`, as flag and environment give it, to the sources of `layer`, or what is wrong
// with it to its errors.
void AddSourceArgument(const SettingText& argument, ConfigLayer* layer);

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_CONFIG_COMMAND_LINE_H_
