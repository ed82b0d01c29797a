// The server's settings, from flags, environment and file.

#ifndef CONFSTREAM_SERVER_CONFIG_SERVER_CONFIG_H_
#define CONFSTREAM_SERVER_CONFIG_SERVER_CONFIG_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "server/base/log.h"
#include "server/snapshot/source_config.h"

namespace confstream {

// Settings of the whole server. Plain data.
struct ServerConfig {
  std::vector<std::string> listen = {"127.0.0.1:50051"};  // host:port or unix:PATH
  bool allow_plaintext = false;                           // plaintext TCP beyond loopback
  // Where the admin service is offered, besides everything else; empty: nowhere, unless `admin`.
  std::vector<std::string> admin_listen;
  bool admin = false;                       // the admin service is offered on `listen`, too
  std::vector<std::string> metrics_listen;  // host:port where metrics are scraped; empty: nowhere
  std::vector<SourceConfig> sources;
  std::string state_dir;  // absolute; empty: history is in memory only

  std::optional<LogFormat> log_format;  // unset: text on a terminal, else JSON
  LogLevel log_level = LogLevel::kInfo;

  absl::Duration stall_timeout = absl::Seconds(60);  // a stream whose write takes longer is ended
  absl::Duration shutdown_grace = absl::Seconds(5);  // from SIGTERM until what is left is cut
  int64_t max_streams = 20000;                       // Watch streams in all
  int64_t max_streams_per_connection = 4096;         // HTTP/2 streams of one connection
  int64_t max_views_per_source = 1024;               // distinct sets of path globs
  int64_t max_encoded_bytes = int64_t{64} << 20;     // encoded messages kept to be shared
  int reflection_threads = 4;                        // most threads for reflection streams
  int workers = 2;                                   // threads that read and validate
};

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_CONFIG_SERVER_CONFIG_H_
