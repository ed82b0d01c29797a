#include "client/cli/command_options.h"

#include <charconv>

#include "absl/strings/str_cat.h"
#include "client/cli/signal_name.h"
#include "server/config/setting_text.h"

namespace confstream {
namespace {

using Command = Invocation::Command;

// As the API bounds them (config_service.proto, admin_service.proto).
constexpr int64_t kMostVersion = (int64_t{1} << 53) - 1;
constexpr absl::Duration kLeastHeartbeat = absl::Seconds(1);
constexpr absl::Duration kMostInterval = absl::Hours(1);
constexpr absl::Duration kLongestPin = absl::Hours(24 * 3650);
// What a person can want to see.
constexpr int64_t kMostCount = 1000000000;
constexpr int64_t kMostLimit = 1000000;

// The value that `text` stands for; ends parsing with the whole sentence if it stands for none.
template <typename Value>
Value ValueOrThrow(const std::string& name, const std::string& text,
                   const absl::StatusOr<Value>& value, const std::string& remedy = "") {
  if (value.ok()) return *value;
  throw CLI::ValidationError(absl::StrCat(SettingText{text, "", name, ""}.subject(), " ",
                                          value.status().message(), remedy));
}

CLI::App* AddCommand(CLI::App* app, Invocation* invocation, Command command,
                     const std::string& name, const std::string& help) {
  CLI::App* const added = app->add_subcommand(name, help);
  added->callback([invocation, command] { invocation->command = command; });
  return added;
}

void AddSource(CLI::App* command, Invocation* invocation) {
  command->add_option("SOURCE", invocation->source, "Name of the source")
      ->required()
      ->type_name("");
}

// `target` holds a number, or can.
template <typename Target>
CLI::Option* AddVersion(CLI::App* command, const std::string& name, Target* target,
                        const std::string& help) {
  return command
      ->add_option_function<std::string>(
          name,
          [name, target](const std::string& text) {
            *target = ValueOrThrow(name, text, ParseCountSetting(text, 1, kMostVersion),
                                   "; `confstream history` lists those there are");
          },
          help)
      ->type_name("VERSION");
}

// `name` is the long one, beside -n.
CLI::Option* AddCount(CLI::App* command, const std::string& name, int64_t most, int64_t* target,
                      const std::string& help) {
  return command
      ->add_option_function<std::string>(
          "-n," + name,
          [name, most, target](const std::string& text) {
            *target = ValueOrThrow(name, text, ParseCountSetting(text, 1, most));
          },
          help)
      ->type_name("N");
}

void AddGlobs(CLI::App* command, Invocation* invocation) {
  command
      ->add_option("--glob", invocation->globs,
                   "Only the files that match: `*` matches within a path component, `**` across. "
                   "May be given more than once")
      ->allow_extra_args(false)
      ->type_name("PATTERN");
}

void AddAllowEmpty(CLI::App* command, Invocation* invocation) {
  command->add_flag("--allow-empty", invocation->allow_empty,
                    "Take the files away when no --glob matches any. Default: what is there stays");
}

void AddClientId(CLI::App* command, Invocation* invocation) {
  command
      ->add_option("--client-id", invocation->client_id,
                   "What the server shows as this client's name")
      ->default_str("HOST/PID");
}

void AddFileMode(CLI::App* command, Invocation* invocation) {
  command
      ->add_option_function<std::string>(
          "--mode",
          [invocation](const std::string& text) {
            unsigned mode = 0;
            const auto [end, error] =
                std::from_chars(text.data(), text.data() + text.size(), mode, 8);
            if (error != std::errc() || end != text.data() + text.size() || mode > 0777) {
              throw CLI::ValidationError(
                  "--mode", absl::StrCat("`", text, "` are no permissions: write 0644 or 0600"));
            }
            invocation->file_mode = mode;
          },
          "Permissions of the files, octal")
      ->default_str("0644")
      ->type_name("MODE");
}

void AddGet(CLI::App* app, Invocation* invocation) {
  CLI::App* const get =
      AddCommand(app, invocation, Command::kGet, "get",
                 "Print the files of a source, or one file byte for byte, whatever their size");
  AddSource(get, invocation);
  get->add_option("PATH", invocation->paths,
                  "Path of a file in it, as it stands: `*` is a star. For one that begins "
                  "with `-` write `get -- SOURCE PATH`")
      ->expected(0, 1)
      ->type_name("");
  AddVersion(get, "--version", &invocation->version,
             "Of this retained version instead of the current one; up to 4 MiB");
}

void AddWatch(CLI::App* app, Invocation* invocation) {
  CLI::App* const watch =
      AddCommand(app, invocation, Command::kWatch, "watch",
                 "Print a source's content and every change of it; reconnects by itself");
  AddSource(watch, invocation);
  watch
      ->add_option("PATH", invocation->paths,
                   "Globs of the files to watch, as --glob takes them. Default: all files")
      ->type_name("");
  AddGlobs(watch, invocation);
  AddCount(watch, "--count", kMostCount, &invocation->count, "End after this many snapshots");
  watch->add_flag("--until-in-sync", invocation->until_in_sync,
                  "End once the newest content is here");
  watch->add_flag("--delta", invocation->delta,
                  "Have changes sent as deltas: less traffic, the same output");
  watch->add_flag("--every-version", invocation->every_version,
                  "Every retained version in order, instead of the newest only");
  AddDurationOption(
      watch, "--heartbeat", kLeastHeartbeat, kMostInterval, &invocation->heartbeat,
      "How often a quiet server says that it lives, 1s to 1h. After three missed the copy "
      "is called stale. Default: 30s");
  AddDurationOption(watch, "--min-interval", absl::Milliseconds(1), kMostInterval,
                    &invocation->min_interval,
                    "The least time between two snapshots; versions in between are skipped");
  AddClientId(watch, invocation);
}

void AddRollback(CLI::App* app, Invocation* invocation) {
  CLI::App* const rollback = AddCommand(
      app, invocation, Command::kRollback, "rollback",
      "Publish the content of an older version again, and pin the source to it until its "
      "files get other valid content, `confstream unpin`, or --expire");
  AddSource(rollback, invocation);
  AddVersion(rollback, "VERSION", &invocation->version,
             "The version whose content to publish; `confstream history SOURCE` lists them")
      ->required()
      ->type_name("");
  rollback->add_option("--reason", invocation->reason, "Why, for everybody who asks about the pin")
      ->type_name("TEXT");
  AddDurationOption(rollback, "--expire", absl::Milliseconds(1), kLongestPin, &invocation->expire,
                    "How long the pin lasts at most. Default: without end");
  AddVersion(rollback, "--expect", &invocation->expect,
             "Only if this is the current version. Default: the version that is current when the "
             "command begins");
}

}  // namespace

CLI::Option* AddDurationOption(CLI::App* app, const std::string& name, absl::Duration least,
                               absl::Duration most, std::optional<absl::Duration>* target,
                               const std::string& help) {
  const std::string long_name = name.substr(name.find("--"));
  return app
      ->add_option_function<std::string>(
          name,
          [=](const std::string& text) {
            *target = ValueOrThrow(long_name, text, ParseDurationSetting(text, least, most));
          },
          help)
      ->type_name("DURATION");
}

void AddReadingCommands(CLI::App* app, Invocation* invocation) {
  AddCommand(app, invocation, Command::kLs, "ls",
             "List the sources with version, size, state and origin");
  AddGet(app, invocation);
  AddWatch(app, invocation);
  CLI::App* const status =
      AddCommand(app, invocation, Command::kStatus, "status",
                 "Print health, and the state of every source with what is wrong with it");
  status->add_option("SOURCE", invocation->source, "Only this source")->type_name("");
  status->add_flag("--health", invocation->health,
                   "Only ask whether the server is up: exit code 0 if it is SERVING. For "
                   "container health checks");
}

void AddAdminCommands(CLI::App* app, Invocation* invocation) {
  CLI::App* const history =
      AddCommand(app, invocation, Command::kHistory, "history",
                 "List the retained versions of a source, newest first; `*` marks what is served");
  AddSource(history, invocation);
  AddCount(history, "--limit", kMostLimit, &invocation->limit, "At most this many")
      ->default_str("20");

  CLI::App* const diff = AddCommand(app, invocation, Command::kDiff, "diff",
                                    "Print what differs between two retained versions");
  AddSource(diff, invocation);
  AddVersion(diff, "A", &invocation->from_version,
             "The version to compare from. Default: the one before B")
      ->type_name("");
  AddVersion(diff, "B", &invocation->to_version,
             "The version to compare to. Default: the current one")
      ->type_name("");
  AddGlobs(diff, invocation);

  AddRollback(app, invocation);
  AddSource(AddCommand(app, invocation, Command::kEvents, "events",
                       "Print what the server saw and decided of a source lately: why was my "
                       "change not picked up?"),
            invocation);
  AddSource(AddCommand(app, invocation, Command::kUnpin, "unpin",
                       "End a rollback's pin: the mounted content is served again if it is valid"),
            invocation);
  AddSource(AddCommand(app, invocation, Command::kReload, "reload",
                       "Have the server read a source's files anew, and print what came of it"),
            invocation);
  CLI::App* const who =
      AddCommand(app, invocation, Command::kWho, "who",
                 "List who watches, at which version, how far behind, and who refused what");
  who->add_option("SOURCE", invocation->source, "Only this source")->type_name("");

  CLI::App* const validate =
      AddCommand(app, invocation, Command::kValidate, "validate",
                 "Check files against the rules of a source, publishing nothing; exit code 6 if "
                 "they break one");
  AddSource(validate, invocation);
  validate
      ->add_option("DIR", invocation->directory,
                   "Directory of the files (a ConfigMap volume, too), or a single file")
      ->required()
      ->type_name("");
}

void AddMaterializingCommands(CLI::App* app, Invocation* invocation) {
  CLI::App* const sync =
      AddCommand(app, invocation, Command::kSync, "sync",
                 "Keep a directory at a source's content, changing all files at once as kubelet "
                 "does with ConfigMap volumes; safe on kill at any moment");
  AddSource(sync, invocation);
  sync->add_option("DIR", invocation->directory,
                   "The directory: missing, empty, or kept by `confstream sync` before")
      ->required()
      ->type_name("");
  AddGlobs(sync, invocation);
  AddAllowEmpty(sync, invocation);
  sync->add_flag("--once", invocation->once, "End once the newest content is in place");
  AddFileMode(sync, invocation);
  AddClientId(sync, invocation);

  CLI::App* const exec = AddCommand(
      app, invocation, Command::kExec, "exec",
      "Run COMMAND on each change of a source, or with --signal start it once and signal it. It "
      "finds CONFSTREAM_SOURCE, CONFSTREAM_VERSION and CONFSTREAM_DIR, a directory with the files, "
      "in its environment");
  AddSource(exec, invocation);
  exec->add_option("COMMAND", invocation->command_line,
                   "The program and its arguments, after `--`. Required")
      ->type_name("");
  AddGlobs(exec, invocation);
  AddAllowEmpty(exec, invocation);
  exec->add_option("--dir", invocation->directory,
                   "Where to keep the files, as `confstream sync` does. Default: a temporary "
                   "directory of its own")
      ->type_name("DIR");
  exec->add_option_function<std::string>(
          "--signal",
          [invocation](const std::string& text) {
            invocation->signal = ParseSignal(text);
            if (!invocation->signal.has_value() || *invocation->signal == SIGKILL ||
                *invocation->signal == SIGSTOP) {
              throw CLI::ValidationError("--signal",
                                         absl::StrCat("`", text,
                                                      "` is no signal for a program: write HUP, "
                                                      "USR1, USR2 or TERM"));
            }
          },
          "Start COMMAND once, and send it this signal on each change")
      ->type_name("NAME");
  AddFileMode(exec, invocation);
  AddClientId(exec, invocation);
}

}  // namespace confstream
