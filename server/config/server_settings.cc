// The table of the settings of the server as a whole.

#include <cstdint>
#include <iterator>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_join.h"
#include "server/config/listen_address.h"
#include "server/config/setting.h"
#include "server/config/setting_kinds.h"

namespace confstream {
namespace {

// `word` as one of `words`, by its index.
absl::StatusOr<size_t> ParseWord(const std::string& word, const std::vector<std::string>& words) {
  for (size_t i = 0; i < words.size(); ++i) {
    if (word == words[i]) return i;
  }
  const std::string near = NearestWord(word, words);
  return absl::InvalidArgumentError(
      absl::StrCat("is not known: write one of ", absl::StrJoin(words, ", "),
                   near.empty() ? "" : absl::StrCat("; did you mean ", near, "?")));
}

absl::StatusOr<std::string> ParseAddress(const SettingText& given) {
  auto address = ListenAddress::Parse(given.text, given.directory);
  if (!address.ok()) return address.status();
  return address->text;
}

// The HTTP server that metrics are scraped from knows neither IPv6 nor Unix sockets.
absl::StatusOr<std::string> ParseMetricsAddress(const SettingText& given) {
  const auto address = ListenAddress::Parse(given.text, given.directory);
  if (!address.ok() || address->text.front() == '[' || absl::StartsWith(address->text, "unix:")) {
    return absl::InvalidArgumentError(
        "is not an address for metrics: write HOST:PORT with a name or an IPv4 address, for "
        "example 127.0.0.1:9464");
  }
  return address->text;
}

template <typename Parse>
Setting<ServerConfig> Addresses(std::string key, std::string bounds,
                                Field<ServerConfig, std::vector<std::string>> field, Parse parse,
                                std::string help) {
  return MakeList<ServerConfig, std::string>(
      std::move(key), "ADDRESS", std::move(bounds), field, parse,
      [](const std::string& address) { return address; }, std::move(help));
}

Setting<ServerConfig> LogFormatSetting() {
  static const char* const kWords[] = {"auto", "text", "json"};
  Setting<ServerConfig> setting;
  setting.key = "log_format";
  setting.value_name = "FORMAT";
  setting.bounds = "auto, text, json";
  setting.help = "Format of log lines; auto is text on a terminal, else json.";
  setting.add = [](const SettingText& given, ServerConfig* config) {
    const auto word = ParseWord(given.text, {std::begin(kWords), std::end(kWords)});
    if (!word.ok()) return word.status();
    config->log_format = std::nullopt;
    if (*word == 1) config->log_format = LogFormat::kText;
    if (*word == 2) config->log_format = LogFormat::kJson;
    return absl::OkStatus();
  };
  setting.get = [](const ServerConfig& config) -> std::vector<std::string> {
    if (!config.log_format.has_value()) return {"auto"};
    return {*config.log_format == LogFormat::kText ? "text" : "json"};
  };
  return setting;
}

Setting<ServerConfig> LogLevelSetting() {
  static const char* const kWords[] = {"debug", "info", "warning", "error"};
  Setting<ServerConfig> setting;
  setting.key = "log_level";
  setting.value_name = "LEVEL";
  setting.bounds = "debug, info, warning, error";
  setting.help = "The least level that is logged.";
  setting.add = [](const SettingText& given, ServerConfig* config) {
    const auto word = ParseWord(given.text, {std::begin(kWords), std::end(kWords)});
    if (word.ok()) config->log_level = static_cast<LogLevel>(*word);
    return word.status();
  };
  setting.get = [](const ServerConfig& config) -> std::vector<std::string> {
    return {kWords[static_cast<size_t>(config.log_level)]};
  };
  return setting;
}

}  // namespace

std::vector<Setting<ServerConfig>> ServerSettings() {
  using Config = ServerConfig;
  return {
      Addresses(
          "listen", "1 or more", [](Config & c) -> auto& { return c.listen; }, ParseAddress,
          "Listen on HOST:PORT, [IPV6]:PORT or unix:PATH; port 0 lets the kernel choose."),
      MakeSwitch<Config>(
          "allow_plaintext", [](Config & c) -> auto& { return c.allow_plaintext; },
          "Listen without TLS on addresses that other machines can reach."),
      Addresses(
          "admin_listen", "any number", [](Config & c) -> auto& { return c.admin_listen; },
          ParseAddress, "Listen here, too, and offer the admin service besides everything else."),
      MakeSwitch<Config>(
          "admin", [](Config & c) -> auto& { return c.admin; },
          "Offer the admin service on the addresses of listen, too."),
      Addresses(
          "metrics_listen", "any number", [](Config & c) -> auto& { return c.metrics_listen; },
          ParseMetricsAddress,
          "Serve metrics for Prometheus over HTTP on HOST:PORT, at /metrics; IPv4 only."),
      MakeText<Config>(
          "state_dir", "DIR", "a directory, or nothing",
          [](Config & c) -> auto& { return c.state_dir; },
          [](const SettingText& given) { return ParsePathSetting(given.text, given.directory); },
          "Keep versions and their history in this directory; without it, in memory."),
      LogFormatSetting(),
      LogLevelSetting(),
      MakeDuration<Config>(
          "stall_timeout", [](Config & c) -> auto& { return c.stall_timeout; }, absl::Seconds(1),
          absl::Hours(1), "End a stream whose client does not take a message for this long."),
      MakeDuration<Config>(
          "shutdown_grace", [](Config & c) -> auto& { return c.shutdown_grace; },
          absl::ZeroDuration(), absl::Minutes(10),
          "Time for calls to end after SIGTERM, before they are cut."),
      MakeCount<Config, int64_t>(
          "max_streams", [](Config & c) -> auto& { return c.max_streams; }, 1, 1000000,
          "Watch streams open at once."),
      MakeCount<Config, int64_t>(
          "max_streams_per_connection",
          [](Config & c) -> auto& { return c.max_streams_per_connection; }, 1, 1000000,
          "Calls open at once on one connection."),
      MakeCount<Config, int64_t>(
          "max_views_per_source", [](Config & c) -> auto& { return c.max_views_per_source; }, 1,
          1000000, "Different sets of path globs watched at once in one source."),
      MakeSize<Config>(
          "max_encoded_size", [](Config & c) -> auto& { return c.max_encoded_bytes; },
          int64_t{1} << 20, int64_t{64} << 30,
          "Encoded messages kept to be shared by streams, while their content is in use."),
      MakeCount<Config, int>(
          "reflection_threads", [](Config & c) -> auto& { return c.reflection_threads; }, 1, 1024,
          "Threads that serve reflection streams; each stream takes one."),
      MakeCount<Config, int>(
          "workers", [](Config & c) -> auto& { return c.workers; }, 1, 256,
          "Threads that read and validate sources."),
  };
}

std::vector<std::string> ChangedSettings(const ServerConfig& a, const ServerConfig& b) {
  std::vector<std::string> keys;
  for (const Setting<ServerConfig>& setting : ServerSettings()) {
    if (setting.get(a) != setting.get(b)) keys.push_back(setting.key);
  }
  return keys;
}

}  // namespace confstream
