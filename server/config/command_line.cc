#include "server/config/command_line.h"

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <list>
#include <map>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "server/base/text.h"

namespace confstream {
namespace {

constexpr char kDescription[] =
    "confstreamd watches mounted configuration files, and serves every change of them over gRPC "
    "as\n"
    "a validated, versioned snapshot.";

constexpr char kFooter[] = R"(
Every setting can be given by flag, environment variable or file; the first of them that has it
wins. Environment variables take lists with commas or line breaks between the elements. Settings of
single sources, such as settle and limits, are given in the file: docs/configuration.md has them.

Examples:
  confstreamd --source app=/etc/app
      serve the volume mounted at /etc/app as the source `app`, on 127.0.0.1:50051
  confstreamd --source app=/etc/app --listen 0.0.0.0:50051 --allow-plaintext
      the same for other machines, without TLS
  confstreamd --config /etc/confstream.yaml --check-config
      say whether the file is right, and exit
  confstreamd --config confstream.yaml --validate app=build/app
      say whether the files in build/app are what the source `app` may have, and exit
)";

// CLI11's help, with a usage line that says what is needed, and without the dots that it shows
// behind every option that could be given twice.
class HelpFormatter : public CLI::Formatter {
 public:
  HelpFormatter() { column_width(34); }

  std::string make_usage(const CLI::App*, std::string) const override {
    return "\nUsage: confstreamd --source NAME=PATH [FLAG...]\n";
  }
  std::string make_option_opts(const CLI::Option* option) const override {
    return option->get_type_size() == 0 ? "" : absl::StrCat(" ", option->get_type_name());
  }
};

// One program's flags, in CLI11's terms.
class Flags {
 public:
  Flags() : app_(kDescription, "confstreamd") {
    app_.set_help_flag();  // ours is a flag like the others: it wins over errors, too
    app_.allow_extras();
    app_.footer(kFooter);
    app_.formatter(std::make_shared<HelpFormatter>());
    sources_ = AddOption("--source", "NAME=PATH",
                         "Serve the directory or file at PATH as NAME; repeatable. A source of the "
                         "file keeps its other settings, and gets this path.\n"
                         "Environment: CONFSTREAM_SOURCES",
                         "Sources");
    config_ = AddOption("--config", "FILE",
                        "Read settings and sources from this YAML file.\n"
                        "Environment: CONFSTREAM_CONFIG",
                        "Sources");
    for (const Setting<ServerConfig>& setting : ServerSettings()) AddSetting(setting);
    check_ = AddFlag("--check-config", "Check the whole configuration, say what is wrong, exit.");
    print_ = AddFlag("--print-config",
                     "Print the configuration that results, as a file for --config, and exit.");
    validate_ = AddOption("--validate", "[NAME=]DIR",
                          "Check the files in DIR by the rules of the source NAME, or of the only "
                          "one, print every violation, and exit: 0 valid, 1 not, 2 cannot tell.",
                          "Instead of serving");
    version_ = AddFlag("--version", "Print the version and exit.");
    help_ = AddFlag("-h,--help", "Print this help and exit.");
  }

  CLI::App& app() { return app_; }
  const CLI::Option& sources() const { return *sources_; }
  const CLI::Option& config() const { return *config_; }
  const CLI::Option& validate() const { return *validate_; }
  const std::map<std::string, CLI::Option*>& settings() const { return settings_; }

  CommandLine::Action action() const {
    if (help_->count() > 0) return CommandLine::Action::kHelp;
    if (version_->count() > 0) return CommandLine::Action::kVersion;
    if (print_->count() > 0) return CommandLine::Action::kPrintConfig;
    if (check_->count() > 0) return CommandLine::Action::kCheckConfig;
    if (validate_->count() > 0) return CommandLine::Action::kValidate;
    return CommandLine::Action::kServe;
  }

  // Of every flag, with its dashes.
  std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (const CLI::Option* option : app_.get_options()) names.push_back(option->get_name());
    return names;
  }

 private:
  static constexpr size_t kHelpWidth = 64;

  // `text` with line breaks, so that the help fits a terminal of 100 columns.
  static std::string Wrapped(absl::string_view text) {
    std::string out;
    size_t column = 0;
    for (size_t start = 0; start < text.size();) {
      const size_t end = std::min(text.find_first_of(" \n", start), text.size());
      if (column > 0 && column + (end - start) > kHelpWidth) {
        out.back() = '\n';
        column = 0;
      }
      absl::StrAppend(&out, text.substr(start, end - start));
      column += end - start + 1;
      if (end < text.size()) out += text[end];
      if (end < text.size() && text[end] == '\n') column = 0;
      start = end + 1;
    }
    return out;
  }

  CLI::Option* AddOption(const std::string& flag, const std::string& value_name,
                         const std::string& help, const std::string& group) {
    CLI::Option* option = app_.add_option(flag, values_.emplace_back(), Wrapped(help));
    // One value a flag: CLI11 would otherwise take all that follow, and split `[a,b]`.
    return option->allow_extra_args(false)->type_name(value_name)->group(group);
  }

  CLI::Option* AddFlag(const std::string& flag, const std::string& help) {
    return app_.add_flag(flag, flags_.emplace_back(), Wrapped(help))->group("Instead of serving");
  }

  void AddSetting(const Setting<ServerConfig>& setting) {
    const std::string fallback = absl::StrJoin(setting.get(ServerConfig()), ", ");
    const std::string help = absl::StrCat(
        setting.help, setting.is_list ? " Repeatable." : "",
        "\nDefault: ", fallback.empty() ? "none" : fallback,
        setting.is_list || setting.is_switch ? "" : absl::StrCat(". Allowed: ", setting.bounds),
        "\nEnvironment: ", setting.variable());
    const std::string group = absl::StartsWith(setting.key, "log_")  ? "Logging"
                              : setting.key == "state_dir"           ? "History"
                              : setting.is_list || setting.is_switch ? "Listening"
                                                                     : "Limits";
    CLI::Option* option = nullptr;
    if (setting.is_switch) {
      option = app_.add_flag(setting.flag(), values_.emplace_back(), Wrapped(help))->group(group);
    } else {
      option = AddOption(setting.flag(), setting.value_name, help, group);
    }
    settings_[setting.key] = option;
  }

  CLI::App app_;
  // Where CLI11 stores what it read; addresses must not change.
  std::list<std::vector<std::string>> values_;
  std::list<int> flags_;
  CLI::Option* sources_ = nullptr;
  CLI::Option* config_ = nullptr;
  CLI::Option* check_ = nullptr;
  CLI::Option* print_ = nullptr;
  CLI::Option* validate_ = nullptr;
  CLI::Option* version_ = nullptr;
  CLI::Option* help_ = nullptr;
  std::map<std::string, CLI::Option*> settings_;
};

absl::Status UnknownArgument(const std::string& argument, const std::vector<std::string>& known) {
  const std::string shown = absl::StrCat("`", EscapeForDisplay(argument.substr(0, 100)), "`");
  if (!absl::StartsWith(argument, "-")) {
    return absl::InvalidArgumentError(
        absl::StrCat("unexpected argument ", shown, ": sources are given as --source NAME=PATH"));
  }
  const std::string near = NearestWord(argument.substr(0, argument.find('=')), known);
  return absl::InvalidArgumentError(absl::StrCat(
      "unknown flag ", shown, ": ",
      near.empty() ? "see confstreamd --help" : absl::StrCat("did you mean ", near, "?")));
}

absl::Status GivenTwice(const std::string& flag) {
  return absl::InvalidArgumentError(absl::StrCat(flag, " is there twice: keep one of them"));
}

}  // namespace

void AddSourceArgument(const SettingText& argument, ConfigLayer* layer) {
  const size_t equals = argument.text.find('=');
  if (equals == std::string::npos) {
    layer->errors.push_back(absl::StrCat(argument.subject(), " has no `=`: write NAME=PATH"));
    return;
  }
  GivenSource source;
  source.name = argument;
  source.name.text = argument.text.substr(0, equals);
  source.path = argument;
  source.path.text = argument.text.substr(equals + 1);
  layer->sources.push_back(std::move(source));
}

absl::StatusOr<CommandLine> ParseCommandLine(const std::vector<std::string>& arguments,
                                             absl::string_view directory) {
  Flags flags;
  try {
    flags.app().parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
  } catch (const CLI::ParseError& error) {
    return absl::InvalidArgumentError(absl::StrCat(error.what(), ": see confstreamd --help"));
  }
  CommandLine line;
  line.action = flags.action();
  if (line.action == CommandLine::Action::kHelp || line.action == CommandLine::Action::kVersion) {
    return line;
  }
  const std::vector<std::string> unknown = flags.app().remaining();
  if (!unknown.empty()) return UnknownArgument(unknown.front(), flags.names());

  const auto text = [&](const std::string& value, const CLI::Option& option) {
    return SettingText{value, "", option.get_name(), std::string(directory)};
  };
  if (flags.config().count() > 1) return GivenTwice("--config");
  if (flags.config().count() == 1) {
    line.config_file = text(flags.config().results().front(), flags.config());
  }
  if (flags.validate().count() > 1) return GivenTwice("--validate");
  if (flags.validate().count() == 1) {
    line.validate = text(flags.validate().results().front(), flags.validate());
  }
  for (const std::string& value : flags.sources().results()) {
    AddSourceArgument(text(value, flags.sources()), &line.layer);
  }
  for (const Setting<ServerConfig>& setting : ServerSettings()) {
    const CLI::Option& option = *flags.settings().at(setting.key);
    if (option.count() == 0) continue;
    if (option.count() > 1 && !setting.is_list) return GivenTwice(setting.flag());
    GivenSetting& given = line.layer.server[setting.key];
    given.origin = setting.flag();
    for (const std::string& value : option.results()) given.values.push_back(text(value, option));
  }
  return line;
}

std::string HelpText() {
  // CLI11 puts two blank lines between groups.
  return absl::StrReplaceAll(Flags().app().help(), {{"\n\n\n", "\n\n"}});
}

}  // namespace confstream
