#include "server/config/config_loader.h"

#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "server/base/text.h"
#include "server/config/config_file.h"
#include "server/config/config_merge.h"

namespace confstream {
namespace {

std::vector<std::string> ArgumentsOf(int argc, const char* const* argv) {
  std::vector<std::string> arguments;
  for (int i = 1; i < argc; ++i) arguments.emplace_back(argv[i]);
  return arguments;
}

Environment EnvironmentOf(const char* const* variables) {
  Environment environment;
  for (; variables != nullptr && *variables != nullptr; ++variables) {
    const std::string variable = *variables;
    const size_t equals = variable.find('=');
    if (equals == std::string::npos) continue;
    environment.emplace(variable.substr(0, equals), variable.substr(equals + 1));
  }
  return environment;
}

std::string WorkingDirectory() {
  std::error_code error;
  const std::filesystem::path directory = std::filesystem::current_path(error);
  return error ? "/" : directory.string();
}

// An error with `confstreamd: ` before each of its lines.
std::string Complaint(const absl::Status& status) {
  return absl::StrCat(
      "confstreamd: ",
      absl::StrJoin(absl::StrSplit(std::string(status.message()), '\n'), "\nconfstreamd: "), "\n");
}

ConfigLoader::Start Printing(std::string text) {
  ConfigLoader::Start start;
  start.text = std::move(text);
  return start;
}

ConfigLoader::Start Refusal(const absl::Status& status) {
  ConfigLoader::Start start;
  start.exit_code = ConfigLoader::kBadConfigExitCode;
  start.text = Complaint(status);
  return start;
}

std::string Summary(const ServerConfig& config) {
  return absl::StrCat("configuration is valid: ", config.sources.size(),
                      config.sources.size() == 1 ? " source" : " sources", ", listening on ",
                      absl::StrJoin(config.listen, ", "), "\n");
}

}  // namespace

ConfigLoader::ConfigLoader(int argc, const char* const* argv, const char* const* environment)
    : ConfigLoader(ArgumentsOf(argc, argv), EnvironmentOf(environment), WorkingDirectory()) {}

ConfigLoader::ConfigLoader(std::vector<std::string> arguments, Environment environment,
                           std::string directory)
    : arguments_(std::move(arguments)),
      environment_(std::move(environment)),
      directory_(std::move(directory)) {}

ConfigLoader::Start ConfigLoader::Begin() const {
  using Action = CommandLine::Action;
  const absl::StatusOr<CommandLine> line = ParseCommandLine(arguments_, directory_);
  if (!line.ok()) return Refusal(line.status());
  if (line->action == Action::kHelp) return Printing(HelpText());
  if (line->action == Action::kVersion) return Printing("confstreamd " CONFSTREAM_VERSION "\n");
  absl::StatusOr<Loaded> loaded = LoadFor(*line);
  if (!loaded.ok()) return Refusal(loaded.status());
  if (line->action == Action::kCheckConfig) return Printing(Summary(loaded->config));
  if (line->action == Action::kPrintConfig) {
    return Printing(PrintConfig(loaded->config, loaded->origins));
  }
  Start start;
  if (line->action == Action::kValidate) {
    absl::StatusOr<SourceConfig> source = SourceToValidate(*line->validate, loaded->config);
    if (!source.ok()) return Refusal(source.status());
    start.validate = *std::move(source);
  } else {
    start.config = std::move(loaded->config);
  }
  return start;
}

absl::StatusOr<SourceConfig> ConfigLoader::SourceToValidate(const SettingText& argument,
                                                            const ServerConfig& config) {
  std::vector<std::string> names;
  for (const SourceConfig& source : config.sources) names.push_back(source.name);
  const auto refused = [&](absl::string_view why) {
    return absl::InvalidArgumentError(absl::StrCat(argument.subject(), " ", why));
  };
  const size_t equals = argument.text.find('=');
  std::string name = names.front();
  absl::string_view directory = argument.text;
  if (equals != std::string::npos && CheckSourceName(directory.substr(0, equals)).ok()) {
    name = argument.text.substr(0, equals);
    directory.remove_prefix(equals + 1);
  } else if (names.size() > 1) {
    return refused(
        absl::StrCat("does not say by which source's rules: write NAME=DIR, with one of ",
                     absl::StrJoin(names, ", ")));
  }
  for (const SourceConfig& source : config.sources) {
    if (source.name != name) continue;
    absl::StatusOr<std::string> path = ParsePathSetting(directory, argument.directory);
    if (!path.ok()) return refused(path.status().message());
    SourceConfig named = source;
    named.path = *std::move(path);
    return named;
  }
  const std::string near = NearestWord(name, names);
  return refused(absl::StrCat("names no source: ",
                              near.empty() ? absl::StrCat("there are ", absl::StrJoin(names, ", "))
                                           : absl::StrCat("did you mean ", near, "?")));
}

absl::StatusOr<ServerConfig> ConfigLoader::Load() const {
  const absl::StatusOr<CommandLine> line = ParseCommandLine(arguments_, directory_);
  if (!line.ok()) return line.status();
  absl::StatusOr<Loaded> loaded = LoadFor(*line);
  if (!loaded.ok()) return loaded.status();
  return std::move(loaded->config);
}

absl::StatusOr<ConfigLoader::Loaded> ConfigLoader::LoadFor(const CommandLine& line) const {
  EnvironmentConfig environment = ReadEnvironment(environment_, directory_);
  const std::optional<SettingText>& file =
      line.config_file.has_value() ? line.config_file : environment.config_file;
  std::vector<ConfigLayer> layers;
  if (file.has_value()) {
    const absl::StatusOr<std::string> path = ParsePathSetting(file->text, file->directory);
    if (!path.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat(file->subject(), " ", path.status().message()));
    }
    absl::StatusOr<ConfigLayer> layer = ReadConfigFile(*path, EscapeForDisplay(file->text));
    if (!layer.ok()) return layer.status();
    layers.push_back(*std::move(layer));
  }
  layers.push_back(std::move(environment.layer));
  layers.push_back(line.layer);
  MergedConfig merged = MergeLayers(layers);
  if (!merged.errors.empty()) {
    return absl::InvalidArgumentError(absl::StrJoin(merged.errors, "\n"));
  }
  return Loaded{std::move(merged.config), std::move(merged.origins)};
}

}  // namespace confstream
