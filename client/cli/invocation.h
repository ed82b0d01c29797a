// What the person typed.

#ifndef CONFSTREAM_CLIENT_CLI_INVOCATION_H_
#define CONFSTREAM_CLIENT_CLI_INVOCATION_H_

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
  enum class Command { kLs, kGet, kWatch, kStatus };

  Command command = Command::kLs;
  std::string server;
  std::optional<OutputFormat> output;     // unset: the command's default
  std::optional<absl::Duration> timeout;  // unset: the command's default
  ColorMode color = ColorMode::kAuto;

  std::string source;              // empty: all (status)
  std::vector<std::string> paths;  // of get: at most one, literal; of watch: globs

  // watch
  int64_t count = 0;  // 0: no end
  bool until_in_sync = false;
  std::optional<absl::Duration> heartbeat;
  std::optional<absl::Duration> min_interval;
  std::string client_id;

  // status
  bool health = false;

  // How long ls, get and status may take.
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
