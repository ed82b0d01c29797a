// What the person typed.

#ifndef CONFSTREAM_CLIENT_CLI_INVOCATION_H_
#define CONFSTREAM_CLIENT_CLI_INVOCATION_H_

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/time/time.h"
#include "client/cli/console.h"

namespace confstream {

enum class OutputFormat { kTable, kJson, kYaml, kRaw };
enum class ColorMode { kAuto, kAlways, kNever };

// Plain data.
struct Invocation {
  enum class Command {
    kLs,
    kGet,
    kWatch,
    kStatus,
    kHistory,
    kDiff,
    kRollback,
    kUnpin,
    kReload,
    kEvents,
    kWho,
    kValidate,
    kSync,
    kExec,
  };

  Command command = Command::kLs;
  std::string server;
  std::optional<OutputFormat> output;     // unset: the command's default
  std::optional<absl::Duration> timeout;  // unset: the command's default
  ColorMode color = ColorMode::kAuto;

  std::string source;              // empty: all (status, who)
  std::vector<std::string> paths;  // of get: at most one, literal; of watch: globs
  std::vector<std::string> globs;  // of --glob: watch, diff, sync, exec

  int64_t version = 0;  // of get: 0 is the current one; of rollback

  // watch
  int64_t count = 0;  // 0: no end
  bool until_in_sync = false;
  bool delta = false;
  bool every_version = false;
  std::optional<absl::Duration> heartbeat;
  std::optional<absl::Duration> min_interval;

  std::string client_id;  // watch, get, sync, exec

  // status
  bool health = false;

  int64_t limit = 20;  // history

  // diff; 0: as DiffSnapshotsRequest has it
  int64_t from_version = 0;
  int64_t to_version = 0;

  // rollback
  std::string reason;
  std::optional<absl::Duration> expire;
  std::optional<int64_t> expect;  // unset: the version that is current when the command begins

  // sync, exec, validate
  std::string directory;  // of exec: empty is one of its own
  mode_t file_mode = 0644;

  bool once = false;         // sync
  bool allow_empty = false;  // sync, exec

  // exec
  std::vector<std::string> command_line;
  std::optional<int> signal;  // unset: the command is run on each change

  // How long commands that ask and answer may take.
  absl::Duration CallTimeout() const { return timeout.value_or(absl::Seconds(10)); }
  OutputFormat OutputOr(OutputFormat fallback) const { return output.value_or(fallback); }
};

// Reads `args`, without the program's name, and CONFSTREAM_SERVER. Returns the exit code instead
// if there is nothing left to do: help or version was asked for and printed, or the usage is wrong
// and that was explained.
std::variant<Invocation, int> ParseInvocation(std::vector<std::string> args,
                                              const Console& console);

}  // namespace confstream

#endif  // CONFSTREAM_CLIENT_CLI_INVOCATION_H_
