// A setting: its names, its bounds, and how its text becomes a field. The flags, the environment,
// the file, the help, the printer and the test of docs/configuration.md all read the same tables.

#ifndef CONFSTREAM_SERVER_CONFIG_SETTING_H_
#define CONFSTREAM_SERVER_CONFIG_SETTING_H_

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "server/config/server_config.h"
#include "server/config/setting_text.h"

namespace confstream {

// A setting of Target: ServerConfig or SourceConfig. Immutable once it is in a table.
template <typename Target>
struct Setting {
  std::string key;         // in the file; `limits.max_files` is max_files in the group limits
  std::string value_name;  // what help calls the value: DURATION
  std::string bounds;      // what values are allowed, for example "1ms to 1h"
  std::string help;        // one sentence
  bool is_list = false;
  bool is_switch = false;

  // Takes a value: replaces the field, or appends to it if it is a list. The status carries on
  // SettingText::subject.
  std::function<absl::Status(const SettingText&, Target*)> add;
  // Empties the field. Lists only.
  std::function<void(Target*)> clear;
  // The field as texts that `add` reads: exactly one unless it is a list.
  std::function<std::vector<std::string>(const Target&)> get;

  // What stands before the first dot of the key; empty: the key is in no group.
  std::string group() const {
    return key.find('.') == std::string::npos ? "" : key.substr(0, key.find('.'));
  }
  // --stall-timeout
  std::string flag() const { return absl::StrCat("--", absl::StrReplaceAll(key, {{"_", "-"}})); }
  // CONFSTREAM_STALL_TIMEOUT
  std::string variable() const { return absl::StrCat("CONFSTREAM_", absl::AsciiStrToUpper(key)); }
};

// The settings of the server as a whole, in the order of the help. Each of them has a flag and an
// environment variable.
std::vector<Setting<ServerConfig>> ServerSettings();

// The keys of those settings of the server as a whole that are others in `b` than in `a`.
std::vector<std::string> ChangedSettings(const ServerConfig& a, const ServerConfig& b);

// The settings of a source but its name and path. They can be given in the file only.
std::vector<Setting<SourceConfig>> SourceSettings();

// What was given for one setting: one value, or the elements of a list.
struct GivenSetting {
  std::vector<SettingText> values;
  std::string origin;
};

// By key.
using GivenSettings = std::map<std::string, GivenSetting>;

// A source as one of file, environment and flags gave it. An error has been told of if its path has
// no name.
struct GivenSource {
  SettingText name;
  SettingText path;
  GivenSettings settings;
};

// What one of file, environment and flags gave.
struct ConfigLayer {
  GivenSettings server;
  GivenSettings source_defaults;
  std::vector<GivenSource> sources;
  std::vector<std::string> errors;  // what could not be understood, a sentence each
};

// Puts what was given into `target`, which holds the defaults, and returns what was refused, a
// sentence each.
template <typename Target>
std::vector<std::string> ApplySettings(const std::vector<Setting<Target>>& settings,
                                       const GivenSettings& given, Target* target) {
  std::vector<std::string> errors;
  for (const Setting<Target>& setting : settings) {
    const auto found = given.find(setting.key);
    if (found == given.end()) continue;
    if (setting.is_list) setting.clear(target);
    for (const SettingText& value : found->second.values) {
      const absl::Status status = setting.add(value, target);
      if (!status.ok()) errors.push_back(absl::StrCat(value.subject(), " ", status.message()));
    }
  }
  return errors;
}

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_CONFIG_SETTING_H_
