#include "client/cli/invocation.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <map>

#include "absl/strings/str_cat.h"
#include "client/cli/exit_code.h"

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

Durations are written as 500ms, 30s, 5m or 1h.

Exit codes:
  0  done
  1  wrong usage, or an error that is none of these
  2  no server answered in time
  3  no such source or file
  4  the server is not healthy, or a source is not SERVING or has no valid content yet
  5  `watch --timeout` passed
  130, 143  a signal ended `watch` before --count or --until-in-sync was reached

Output: `table` is for people and may change; scripts should use json, yaml or raw.)";

const std::map<std::string, OutputFormat> kFormats = {{"table", OutputFormat::kTable},
                                                      {"json", OutputFormat::kJson},
                                                      {"yaml", OutputFormat::kYaml},
                                                      {"raw", OutputFormat::kRaw}};
const std::map<std::string, ColorMode> kColors = {
    {"auto", ColorMode::kAuto}, {"always", ColorMode::kAlways}, {"never", ColorMode::kNever}};

// For options that take a duration: parses into `target`, refuses what is none or not positive.
CLI::Option* AddDuration(CLI::App* app, const std::string& name,
                         std::optional<absl::Duration>* target, const std::string& help) {
  return app
      ->add_option_function<std::string>(
          name,
          [target, name](const std::string& text) {
            absl::Duration duration;
            if (!absl::ParseDuration(text, &duration) || duration <= absl::ZeroDuration() ||
                duration == absl::InfiniteDuration()) {
              throw CLI::ValidationError(
                  name, absl::StrCat("`", text, "` is no duration: write 500ms, 30s, 5m or 1h"));
            }
            *target = duration;
          },
          help)
      ->type_name("DURATION");
}

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
  AddDuration(app, "-t,--timeout", &invocation->timeout,
              "How long the command may take. Default: 10s; for `watch` no limit");
  app->add_option_function<std::string>(
         "--color", [invocation](const std::string& text) { invocation->color = kColors.at(text); },
         "auto, always or never. auto: on a terminal, unless NO_COLOR is set")
      ->check(CLI::IsMember(kColors))
      ->type_name("WHEN");
  app->set_version_flag("--version", std::string("confstream ") + CONFSTREAM_VERSION);
}

void AddLs(CLI::App* app, Invocation* invocation) {
  app->add_subcommand("ls", "List the sources with version, size and state")
      ->callback([invocation] { invocation->command = Invocation::Command::kLs; });
}

void AddGet(CLI::App* app, Invocation* invocation) {
  CLI::App* const get = app->add_subcommand(
      "get", "Print the files of a source, or one file byte for byte, whatever their size");
  get->add_option("SOURCE", invocation->source, "Name of the source")->required()->type_name("");
  get->add_option("PATH", invocation->paths, "Path of a file in it, as it stands: `*` is a star")
      ->expected(0, 1)
      ->type_name("");
  get->callback([invocation] { invocation->command = Invocation::Command::kGet; });
}

void AddWatch(CLI::App* app, Invocation* invocation) {
  CLI::App* const watch = app->add_subcommand(
      "watch", "Print a source's content and every change of it; reconnects by itself");
  watch->add_option("SOURCE", invocation->source, "Name of the source")->required()->type_name("");
  watch
      ->add_option("PATH", invocation->paths,
                   "Globs of the files to watch: `*` matches within a path component, `**` across. "
                   "Default: all files")
      ->type_name("");
  watch->add_option("-n,--count", invocation->count, "End after this many snapshots")
      ->check(CLI::PositiveNumber)
      ->type_name("N");
  watch->add_flag("--until-in-sync", invocation->until_in_sync,
                  "End once the newest content is here");
  AddDuration(watch, "--heartbeat", &invocation->heartbeat,
              "How often a quiet server says that it lives, 1s to 1h. After three missed the copy "
              "is called stale. Default: 30s");
  AddDuration(watch, "--min-interval", &invocation->min_interval,
              "The least time between two snapshots; versions in between are skipped");
  watch
      ->add_option("--client-id", invocation->client_id,
                   "What the server shows as this client's name")
      ->default_str("HOST/PID");
  watch->callback([invocation] { invocation->command = Invocation::Command::kWatch; });
}

void AddStatus(CLI::App* app, Invocation* invocation) {
  CLI::App* const status = app->add_subcommand(
      "status", "Print health, and the state of every source with what is wrong with it");
  status->add_option("SOURCE", invocation->source, "Only this source")->type_name("");
  status->add_flag("--health", invocation->health,
                   "Only ask whether the server is up: exit code 0 if it is SERVING. For "
                   "container health checks");
  status->callback([invocation] { invocation->command = Invocation::Command::kStatus; });
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
  AddLs(&app, &invocation);
  AddGet(&app, &invocation);
  AddWatch(&app, &invocation);
  AddStatus(&app, &invocation);
  for (CLI::App* const command : app.get_subcommands([](const CLI::App*) { return true; })) {
    command->fallthrough();
    command->footer(
        "\n`confstream --help` explains the options of all commands and the exit codes.");
  }

  try {
    std::reverse(args.begin(), args.end());  // CLI11 takes them from the back
    app.parse(args);
  } catch (const CLI::ParseError& error) {
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
