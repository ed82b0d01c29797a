#include "client/cli/invocation.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <map>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/cli/command_options.h"
#include "client/cli/display.h"
#include "client/cli/exit_code.h"
#include "server/config/setting_text.h"

namespace confstream {
namespace {

constexpr char kFooter[] = R"(
Examples:
  confstream ls                          what the server on this node serves
  confstream get payments                the files of a source
  confstream get payments app.yaml       one file, byte for byte
  confstream watch payments              every change, as a diff, until Ctrl-C
  confstream watch payments '**/*.yaml' --output json | jq .version
  confstream watch payments --count 1    wait for content, print it, end
  confstream status                      health, state and refused content
  confstream history payments            its versions, newest first
  confstream diff payments 41 42         what changed between two of them
  confstream rollback payments 41 --reason 'breaks checkout'
  confstream who payments                who runs which version, who refused one
  confstream validate payments ./new     would these files be published?
  confstream sync payments /run/payments keep a directory as a ConfigMap volume
  confstream exec payments --signal HUP -- nginx -g 'daemon off;'

Durations are written as 500ms, 30s, 5m or 1h.

Exit codes:
  0  done
  1  wrong usage, or an error that is none of these
  2  no server answered in time
  3  no such source, file or version
  4  the server is not healthy, its configuration was refused when it was last loaded, or a source
     is not SERVING or has no valid content yet
  5  the --timeout of `watch` or `sync` passed
  6  `validate`: the files break a rule
  130, 143  a signal ended `watch` or `sync` before what they were to wait for had come
  126, 127  `exec` cannot start COMMAND; with --signal, the exit code is COMMAND's

Output: `table` is for people and may change; scripts should use json, yaml or raw.)";

const std::map<std::string, OutputFormat> kFormats = {{"table", OutputFormat::kTable},
                                                      {"json", OutputFormat::kJson},
                                                      {"yaml", OutputFormat::kYaml},
                                                      {"raw", OutputFormat::kRaw}};
const std::map<std::string, ColorMode> kColors = {
    {"auto", ColorMode::kAuto}, {"always", ColorMode::kAlways}, {"never", ColorMode::kNever}};

std::string DefaultClientId() {
  std::array<char, 256> host{};
  if (gethostname(host.data(), host.size() - 1) != 0 || host[0] == '\0') host[0] = '-';
  return absl::StrCat(host.data(), "/", getpid());
}

void AddGlobalOptions(CLI::App* app, Invocation* invocation) {
  app->add_option("-s,--server", invocation->server,
                  "Address of the server: host:port or unix:PATH. Also in CONFSTREAM_SERVER")
      ->envname("CONFSTREAM_SERVER")
      ->default_str("127.0.0.1:50051")
      ->type_name("ADDR");
  app->add_option_function<std::string>(
         "-o,--output",
         [invocation](const std::string& text) { invocation->output = kFormats.at(text); },
         "table, json, yaml or raw (the bytes of one file). Default: table; for `get SOURCE PATH` "
         "raw")
      ->check(CLI::IsMember(kFormats))
      ->type_name("FORMAT");
  AddDurationOption(app, "-t,--timeout", kLeastTimeout, kMostTimeout, &invocation->timeout,
                    "How long the command may take. Default: 10s; `reload` 40s, `validate` 60s; "
                    "`watch`, `sync` no limit. For `exec`: how long one run of COMMAND may take");
  app->add_option_function<std::string>(
         "--color", [invocation](const std::string& text) { invocation->color = kColors.at(text); },
         "auto, always or never. auto: on a terminal, unless NO_COLOR is set")
      ->check(CLI::IsMember(kColors))
      ->type_name("WHEN");
  app->set_version_flag("--version", std::string("confstream ") + CONFSTREAM_VERSION);
}

bool IsSubcommand(const CLI::App*) { return true; }

// Says what was most probably meant by the first word that is neither an option nor a command;
// false if there is none.
bool ExplainUnknownCommand(const CLI::App& app, const Console& console) {
  if (!app.get_subcommands().empty()) return false;
  const std::vector<std::string> words = app.remaining();
  const auto word = std::find_if(words.begin(), words.end(), [](const std::string& candidate) {
    return !absl::StartsWith(candidate, "-");
  });
  if (word == words.end()) return false;
  std::vector<std::string> known;
  for (const CLI::App* const command : app.get_subcommands(IsSubcommand)) {
    known.push_back(command->get_name());
  }
  const std::string near = NearestWord(*word, known);
  console.Say(absl::StrCat("there is no command `", SafeForTerminal(word->substr(0, 100)), "`: ",
                           near.empty() ? "`confstream --help` lists them"
                                        : absl::StrCat("did you mean `", near, "`?")));
  return true;
}

// Whether `args` are of exec, with a COMMAND and without the `--` before it. The options of COMMAND
// would be taken for those of exec then.
bool LacksSeparator(const CLI::App& app, const std::vector<std::string>& args) {
  const CLI::App* const exec = app.get_subcommand("exec");
  return exec->parsed() && std::find(args.begin(), args.end(), "--") == args.end() &&
         exec->get_option("COMMAND")->count() > 0;
}

}  // namespace

std::variant<Invocation, int> ParseInvocation(std::vector<std::string> args,
                                              const Console& console) {
  Invocation invocation;
  invocation.server = "127.0.0.1:50051";
  invocation.client_id = DefaultClientId();
  CLI::App app("Reads and follows the configuration that a Confstream server serves.",
               "confstream");
  app.footer(kFooter);
  app.require_subcommand(0, 1);
  app.fallthrough();
  AddGlobalOptions(&app, &invocation);
  AddReadingCommands(&app, &invocation);
  AddAdminCommands(&app, &invocation);
  AddMaterializingCommands(&app, &invocation);
  for (CLI::App* const command : app.get_subcommands(IsSubcommand)) {
    command->fallthrough();
    command->footer(
        "\n`confstream --help` explains the options of all commands and the exit codes.");
  }

  const auto explain_separator = [&] {
    console.Say(
        absl::StrCat("exec needs `--` before COMMAND, whose options it would take for its own: "
                     "write `confstream "
                     "exec ",
                     SafeForTerminal(invocation.source), " -- COMMAND ARGUMENT...`"));
    return int{kExitError};
  };
  std::reverse(args.begin(), args.end());  // CLI11 takes them from the back
  try {
    app.parse(std::vector<std::string>(args));
    if (LacksSeparator(app, args)) return explain_separator();
  } catch (const CLI::ExtrasError& error) {
    if (LacksSeparator(app, args)) return explain_separator();
    if (!ExplainUnknownCommand(app, console)) app.exit(error, *console.out, *console.err);
    return int{kExitError};
  } catch (const CLI::ParseError& error) {
    if (LacksSeparator(app, args)) return explain_separator();
    // It prints what was asked for, or what is wrong with what was typed.
    return app.exit(error, *console.out, *console.err) == 0 ? int{kExitOk} : int{kExitError};
  }
  if (app.get_subcommands().empty()) {
    *console.err << app.help();
    return int{kExitError};
  }
  return invocation;
}

}  // namespace confstream
