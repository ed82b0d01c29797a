// confstreamd: settings, wiring, signals.
//
//   inotify -> EventSource -> SourceWatcher -> Publisher -> WatchHub -> WatchStream -> client

#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdint>
#include <iostream>
#include <map>
#include <string>
#include <thread>
#include <utility>

#include "absl/strings/str_join.h"
#include "server/base/clock.h"
#include "server/base/error_reason.h"
#include "server/base/file_system.h"
#include "server/base/log.h"
#include "server/config/config_loader.h"
#include "server/config/server_config.h"
#include "server/fanout/watch_hub.h"
#include "server/publish/publisher.h"
#include "server/serve/config_service.h"
#include "server/serve/grpc_server.h"
#include "server/serve/health_reporter.h"
#include "server/watch/inotify_event_source.h"
#include "server/watch/source_watcher.h"

namespace confstream {
namespace {

// Restored or quickly read content should be there when the first client comes; a slow source is
// not waited for longer.
constexpr absl::Duration kFirstReadings = absl::Seconds(2);
// How long clients that are sent away at shutdown are asked to wait at least.
constexpr absl::Duration kComeBackAfter = absl::Seconds(1);

// What main waits for. Blocked in every thread, so that only sigwaitinfo sees them.
sigset_t BlockSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&signals, signal);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);
  return signals;
}

// Every stream, watched tree and file being read takes a descriptor.
void RaiseDescriptorLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

// The sources being served, in step with the configuration.
class SourceSet {
 public:
  SourceSet(WatchHub* hub, HealthReporter* health, Publisher* publisher, SourceWatcher* watcher)
      : hub_(hub), health_(health), publisher_(publisher), watcher_(watcher) {}

  // Adds, changes and removes sources until they are those of `config`. Sources that did not change
  // notice nothing.
  void Apply(const ServerConfig& config) {
    std::map<std::string, SourceConfig> wanted;
    for (const SourceConfig& source : config.sources) wanted.emplace(source.name, source);
    for (const auto& [name, source] : sources_) {
      if (wanted.count(name) == 0) Remove(name);
    }
    for (const auto& [name, source] : wanted) {
      const auto found = sources_.find(name);
      if (found == sources_.end() || !(found->second == source)) Put(source);
    }
    sources_ = std::move(wanted);
  }

 private:
  // Downstream first: whoever is told of a source finds it known further on.
  void Put(const SourceConfig& source) {
    const uint64_t incarnation = ++incarnations_;
    hub_->AddSource(source.name);
    health_->AddSource(source.name, source.required);
    publisher_->AddSource(source, incarnation);
    watcher_->AddSource(source, incarnation);
  }

  void Remove(const std::string& name) {
    watcher_->RemoveSource(name);
    publisher_->RemoveSource(name);
    health_->RemoveSource(name);
    hub_->RemoveSource(name);
  }

  WatchHub* const hub_;
  HealthReporter* const health_;
  Publisher* const publisher_;
  SourceWatcher* const watcher_;
  std::map<std::string, SourceConfig> sources_;
  uint64_t incarnations_ = 0;
};

// SIGHUP. What is wrong with the new configuration is logged, and the old one stays.
void Reload(const ConfigLoader& loader, const ServerConfig& running, SourceSet* sources,
            SourceWatcher* watcher, Logger* log) {
  absl::StatusOr<ServerConfig> config = loader.Load();
  if (!config.ok()) {
    log->Error("configuration not reloaded, the old one stays",
               {{"reason", config.status().message()}});
    return;
  }
  if (config->listen != running.listen) {
    log->Warning("listen addresses change with a restart only",
                 {{"listen", absl::StrJoin(config->listen, " ")}});
  }
  sources->Apply(*config);
  watcher->RescanAll();
  log->Info("configuration reloaded", {{"sources", static_cast<int64_t>(config->sources.size())}});
}

int Serve(const ConfigLoader& loader, const ServerConfig& config, Logger* log) {
  const sigset_t signals = BlockSignals();
  RaiseDescriptorLimit();

  const SystemClock clock;
  PosixFileSystem file_system;
  InotifyEventSource events;
  WatchHub hub(&clock, {config.max_streams, config.max_views_per_source, config.max_encoded_bytes});
  HealthReporter health;
  Publisher publisher(&clock, &file_system, {&hub, &health}, config.workers, log);
  SourceWatcher watcher(&clock, &file_system, &events, &publisher, log);
  publisher.SetAnswerSink(&watcher);
  SourceSet sources(&hub, &health, &publisher, &watcher);
  sources.Apply(config);
  std::thread watching([&watcher] { watcher.Run(); });
  const auto stop_watching = [&] {
    watcher.Stop();
    watching.join();
    publisher.Stop();
  };

  publisher.AwaitFirstReadings(kFirstReadings);
  ConfigService service(&clock, &hub, config.stall_timeout);
  auto server = GrpcServer::Start(
      {config.listen, config.max_streams_per_connection, config.reflection_threads}, &service,
      &health);
  if (!server.ok()) {
    log->Error("cannot serve", {{"reason", server.status().message()}});
    stop_watching();
    return 1;
  }
  log->Info("ready", {{"listen", absl::StrJoin((*server)->addresses(), " ")},
                      {"sources", static_cast<int64_t>(config.sources.size())}});

  int signal = 0;
  while ((signal = sigwaitinfo(&signals, nullptr)) < 0 || signal == SIGHUP) {
    if (signal == SIGHUP) Reload(loader, config, &sources, &watcher, log);
  }
  log->Info("shutting down", {{"reason", signal == SIGINT ? "SIGINT" : "SIGTERM"}});
  health.Drain();
  hub.EndAll(ErrorWithReason(absl::StatusCode::kUnavailable, kDraining,
                             "the server is shutting down: connect again in a moment",
                             kComeBackAfter));
  (*server)->Shutdown(config.shutdown_grace);
  stop_watching();
  log->Info("stopped");
  return 0;
}

int Main(int argc, char** argv) {
  const ConfigLoader loader(argc, argv, environ);
  const ConfigLoader::Start start = loader.Begin();
  if (!start.config.has_value()) {
    (start.exit_code == 0 ? std::cout : std::cerr) << start.text;
    return start.exit_code;
  }
  const LogFormat on_terminal = isatty(STDERR_FILENO) != 0 ? LogFormat::kText : LogFormat::kJson;
  Logger log(start.config->log_format.value_or(on_terminal), start.config->log_level);
  return Serve(loader, *start.config, &log);
}

}  // namespace
}  // namespace confstream

int main(int argc, char** argv) { return confstream::Main(argc, argv); }
