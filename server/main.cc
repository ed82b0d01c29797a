// confstreamd: settings, wiring, signals.
//
//   inotify -> EventSource -> SourceWatcher -> Publisher -> WatchHub -> WatchStream -> client
//                                                 |
//                                              History
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <iostream>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/synchronization/mutex.h"
#include "server/base/clock.h"
#include "server/base/config_reloads.h"
#include "server/base/error_reason.h"
#include "server/base/file_system.h"
#include "server/base/log.h"
#include "server/config/config_loader.h"
#include "server/config/server_config.h"
#include "server/config/setting.h"
#include "server/fanout/watch_hub.h"
#include "server/history/history.h"
#include "server/publish/offline_validation.h"
#include "server/publish/publisher.h"
#include "server/serve/config_service.h"
#include "server/serve/control_plane.h"
#include "server/serve/grpc_log.h"
#include "server/serve/grpc_server.h"
#include "server/serve/health_reporter.h"
#include "server/serve/metrics.h"
#include "server/serve/metrics_listener.h"
#include "server/validate/schema_set.h"
#include "server/watch/inotify_event_source.h"
#include "server/watch/source_watcher.h"

namespace confstream {
namespace {

// Restored or quickly read content should be there when the first client comes; a slow source is
// not waited for longer.
constexpr absl::Duration kFirstReadings = absl::Seconds(2);
// A reading of a hung file system is not waited for longer, once the server is to end.
constexpr absl::Duration kPatienceAtEnd = absl::Seconds(1);
// How long clients that are sent away at shutdown are asked to wait at least.
constexpr absl::Duration kComeBackAfter = absl::Seconds(1);
// Streams may take so long to end, before their connections are told to.
constexpr absl::Duration kLastWords = absl::Milliseconds(500);

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
  SourceSet(WatchHub* hub, HealthReporter* health, Publisher* publisher, SourceWatcher* watcher,
            SourceJournals* journals)
      : hub_(hub), health_(health), publisher_(publisher), watcher_(watcher), journals_(journals) {}

  // Adds, changes and removes sources until they are those of `config`. Sources that did not change
  // notice nothing. If schemas of one cannot be loaded, all stays as it was.
  absl::Status Apply(const ServerConfig& config) {
    std::map<std::string, SourceConfig> wanted;
    std::map<std::string, std::shared_ptr<const SchemaSet>> schemas;
    for (const SourceConfig& source : config.sources) {
      wanted.emplace(source.name, source);
      auto loaded = SchemaSet::Load(source.rules);
      if (!loaded.ok()) return loaded.status();
      schemas.emplace(source.name, *std::move(loaded));
    }
    for (const auto& [name, source] : sources_) {
      if (wanted.count(name) == 0) Remove(name);
    }
    for (const auto& [name, source] : wanted) {
      const auto found = sources_.find(name);
      if (found == sources_.end() || !(found->second == source)) Put(source, schemas[name]);
    }
    sources_ = std::move(wanted);
    return absl::OkStatus();
  }

  // Notes what concerns all sources among the events of each.
  void NoteInEvents(absl::string_view detail) const {
    for (const auto& [name, source] : sources_) {
      journals_->Of(name)->Note(SourceEvent::kVerdict, detail);
    }
  }

 private:
  // Downstream first: a request to read finds its source known.
  void Put(const SourceConfig& source, std::shared_ptr<const SchemaSet> schemas) {
    const uint64_t incarnation = ++incarnations_;
    publisher_->AddSource(source, std::move(schemas), incarnation);
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
  SourceJournals* const journals_;
  std::map<std::string, SourceConfig> sources_;
  uint64_t incarnations_ = 0;
};

// SIGHUP. What is wrong with the new configuration is told, and the old one stays.
void Reload(const ConfigLoader& loader, const ServerConfig& running, const Clock& clock,
            SourceSet* sources, SourceWatcher* watcher, ConfigReloads* reloads, Logger* log) {
  absl::StatusOr<ServerConfig> config = loader.Load();
  const absl::Status applied = config.ok() ? sources->Apply(*config) : config.status();
  if (!applied.ok()) {
    reloads->NoteRefused(clock.WallNow(), applied.message());
    sources->NoteInEvents(absl::StrCat("the configuration was not reloaded, the old one stays: ",
                                       absl::StrReplaceAll(applied.message(), {{"\n", "; "}})));
    log->Error("configuration not reloaded, the old one stays", {{"reason", applied.message()}});
    return;
  }
  reloads->NoteLoaded(clock.WallNow());
  const std::vector<std::string> kept = ChangedSettings(running, *config);
  if (!kept.empty()) {
    log->Warning("settings change with a restart only", {{"settings", absl::StrJoin(kept, " ")}});
  }
  watcher->RescanAll();
  log->Info("configuration reloaded", {{"sources", static_cast<int64_t>(config->sources.size())}});
}

// The servers on all addresses, the admin service where it is wanted.
absl::StatusOr<std::vector<std::unique_ptr<GrpcServer>>> Listen(const ServerConfig& config,
                                                                const DataPlane& data,
                                                                ControlPlane* control,
                                                                HealthReporter* health,
                                                                Logger* log) {
  std::vector<std::unique_ptr<GrpcServer>> servers;
  for (const bool admin : {false, true}) {
    const std::vector<std::string>& addresses = admin ? config.admin_listen : config.listen;
    if (addresses.empty()) continue;
    auto server =
        GrpcServer::Start({addresses, admin ? "--admin-listen" : "--listen",
                           config.max_streams_per_connection, config.reflection_threads, log},
                          data, admin || config.admin ? control : nullptr, health);
    if (!server.ok()) return server.status();
    servers.push_back(*std::move(server));
  }
  return servers;
}

std::string Addresses(const std::vector<std::string>& addresses) {
  return addresses.empty() ? "off" : absl::StrJoin(addresses, " ");
}

void LogReady(const ServerConfig& config, const std::vector<std::unique_ptr<GrpcServer>>& servers,
              const MetricsListener& metrics, Logger* log) {
  log->Info("ready", {{"listen", Addresses(servers.front()->addresses())},
                      {"admin", servers.size() > 1 ? Addresses(servers.back()->addresses())
                                : config.admin     ? Addresses(servers.front()->addresses())
                                                   : Addresses({})},
                      {"metrics", Addresses(metrics.addresses())},
                      {"sources", static_cast<int64_t>(config.sources.size())}});
}

// By the reason, as metrics name it.
std::map<std::string, int64_t> Rescans(const RescanCounts& counts) {
  return {{"overflow", counts.overflow},   {"watch_ended", counts.watch_ended},
          {"periodic", counts.periodic},   {"watch_refused", counts.watch_refused},
          {"requested", counts.requested}, {"mounts", counts.mounts},
          {"polled", counts.polled}};
}

int Serve(const ConfigLoader& loader, const ServerConfig& config, Logger* log) {
  const sigset_t signals = BlockSignals();
  RaiseDescriptorLimit();
  // The packaged Abseil looks for cycles whenever gRPC takes a lock, which is a twentieth of the
  // time of a fan-out.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);

  const GrpcLog grpc_log(log);
  const SystemClock clock;
  PosixFileSystem file_system;
  InotifyEventSource events;
  const auto history = History::Open(config.state_dir, &clock, log);
  if (!history.ok()) {
    log->Error("cannot serve", {{"reason", history.status().message()}});
    return 1;
  }
  WatchHub hub(&clock, {config.max_streams, config.max_views_per_source, config.max_encoded_bytes},
               log);
  HealthReporter health;
  SourceJournals journals(&clock);
  Publisher publisher({&clock, &file_system, {&hub, &health}, &journals, log}, history->get(),
                      config.workers);
  SourceWatcher watcher(&clock, &file_system, &events, &publisher, &journals, log);
  publisher.SetAnswerSink(&watcher);
  SourceSet sources(&hub, &health, &publisher, &watcher, &journals);
  if (const absl::Status applied = sources.Apply(config); !applied.ok()) {
    log->Error("cannot serve", {{"reason", applied.message()}});
    return 1;
  }
  ConfigReloads reloads(clock.WallNow());
  std::thread watching([&watcher] { watcher.Run(); });
  const auto stop_watching = [&] {
    watcher.Stop();
    watching.join();
    const bool all_read = publisher.Stop(kPatienceAtEnd);
    (*history)->Close();
    return all_read;
  };
  const auto cannot_serve = [&](const absl::Status& why) {
    log->Error("cannot serve", {{"reason", why.message()}});
    if (!stop_watching()) _exit(1);
    return 1;
  };

  publisher.AwaitFirstReadings(kFirstReadings);
  ControlPlane control(&hub, &publisher);
  const auto metrics = MetricsListener::Start(
      config.metrics_listen,
      std::make_shared<Metrics>(&hub, &reloads, [&watcher] { return Rescans(watcher.rescans()); }));
  if (!metrics.ok()) return cannot_serve(metrics.status());
  const auto servers =
      Listen(config, {&clock, &hub, &reloads, config.stall_timeout}, &control, &health, log);
  if (!servers.ok()) return cannot_serve(servers.status());
  LogReady(config, *servers, **metrics, log);

  int signal = 0;
  while ((signal = sigwaitinfo(&signals, nullptr)) < 0 || signal == SIGHUP) {
    if (signal == SIGHUP) Reload(loader, config, clock, &sources, &watcher, &reloads, log);
  }
  log->Info("shutting down", {{"reason", signal == SIGINT ? "SIGINT" : "SIGTERM"}});
  health.Drain();
  publisher.EndWaits();
  hub.EndAll(ErrorWithReason(absl::StatusCode::kUnavailable, kDraining,
                             "the server is shutting down: connect again in a moment",
                             kComeBackAfter));
  const Instant deadline = clock.Now() + config.shutdown_grace;
  // gRPC closes a connection once the client has answered a ping that follows the GOAWAY, and no
  // call is open. What is sent before that ping has arrived by then; a client that finds its
  // connection gone before it has read why a stream ended is not told at all.
  hub.AwaitAllClosed(std::min(kLastWords, config.shutdown_grace));
  bool all_left = true;
  for (const auto& server : *servers) {
    all_left &= server->Shutdown(std::max(absl::ZeroDuration(), deadline - clock.Now()));
  }
  const bool all_read = stop_watching();
  log->Info("stopped");
  // A file system that hangs does not let go of the thread that reads it, nor a client that takes
  // nothing of the threads that write to it, and they use what would be destroyed now. Nor would a
  // successor want to wait until the metrics' library has closed.
  if (!all_read || !all_left || !(*metrics)->addresses().empty()) _exit(0);
  return 0;
}

int Validate(const SourceConfig& source) {
  const SystemClock clock;
  PosixFileSystem file_system;
  const OfflineReport report = ValidateOffline(source, &clock, &file_system);
  (report.exit_code == OfflineReport::kValid ? std::cout : std::cerr) << report.text;
  return report.exit_code;
}

int Main(int argc, char** argv) {
  const ConfigLoader loader(argc, argv, environ);
  const ConfigLoader::Start start = loader.Begin();
  if (start.validate.has_value()) return Validate(*start.validate);
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
