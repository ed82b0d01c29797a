// The conformance driver of the C++ client (docs/clients.md): does what its flags and the lines on
// stdin say, and prints what happens, one JSON object a line. It knows of the client what client.h
// offers, and nothing else.

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdlib>
#include <future>
#include <iostream>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "client/cpp/client.h"
#include "server/base/sha256.h"

namespace {

using Json = nlohmann::ordered_json;

std::mutex output;
std::promise<const confstream::Watch*> waited;  // for the first state, in vain or not, and said so

std::chrono::milliseconds Seconds(double seconds) {
  return std::chrono::milliseconds(static_cast<int64_t>(seconds * 1000));
}

// One line, at once and whole, from any thread.
void Print(const Json& line) {
  const std::lock_guard<std::mutex> lock(output);
  std::cout << line.dump(-1, ' ', false, Json::error_handler_t::replace) << std::endl;
}

void PrintChange(const confstream::Change& change) {
  Json files = Json::object();
  for (const confstream::File& file : change.snapshot->files) {
    files[file.path] = confstream::Sha256::Of(*file.content).Text();
  }
  Json old_version;
  if (change.old_snapshot != nullptr) old_version = change.old_snapshot->version;
  Print({{"event", "change"},
         {"version", change.snapshot->version},
         {"epoch", change.snapshot->epoch},
         {"view_digest", change.snapshot->view_digest},
         {"files", std::move(files)},
         {"old_version", std::move(old_version)},
         {"from_cache", change.from_cache},
         {"missing_globs", change.snapshot->missing_globs}});
}

void PrintCurrent(const confstream::Watch& watch) {
  const auto current = watch.Current();
  Json version;
  if (current != nullptr) version = current->version;
  Print({{"event", "current"}, {"version", std::move(version)}, {"stale", watch.stale()}});
}

void OnEvent(const confstream::Event& event) {
  using Kind = confstream::Event::Kind;
  const std::string code(confstream::StatusCodeName(event.code));
  std::cerr << event.message + "\n";
  switch (event.kind) {
    case Kind::kStale:
      return Print({{"event", "stale"}});
    case Kind::kFresh:
      return Print({{"event", "fresh"}});
    case Kind::kDisconnected:
      return Print(
          {{"event", "disconnected"}, {"code", code}, {"retry_ms", event.retry_in.count()}});
    case Kind::kEnded:
      Print({{"event", "ended"}, {"code", code}, {"stale", waited.get_future().get()->stale()}});
      std::_Exit(EXIT_SUCCESS);  // main waits for a line
    default:
      return;
  }
}

}  // namespace

int main(int argc, char** argv) {
  std::string target, mode = "delta", reject;
  double heartbeat_s = 30, wait_s = 30;
  int slow_ms = 0;
  confstream::WatchOptions options;
  options.client_id = "conformance-cpp";
  CLI::App app("The conformance driver of Confstream's C++ client");
  app.add_option("--target", target)->required();
  app.add_option("--source", options.source)->required();
  app.add_option("--glob", options.path_globs)->take_all();
  app.add_option("--mode", mode)->check(CLI::IsMember({"snapshot", "delta"}));
  app.add_option("--heartbeat", heartbeat_s);
  app.add_option("--cache-dir", options.cache_directory);
  app.add_option("--max-bytes", options.max_bytes);
  app.add_option("--wait", wait_s);
  app.add_option("--reject", reject);
  app.add_option("--slow", slow_ms);
  CLI11_PARSE(app, argc, argv);

  if (mode == "snapshot") options.mode = confstream::WatchMode::kSnapshot;
  options.heartbeat = Seconds(heartbeat_s);
  options.log = OnEvent;
  options.on_change = [&](const confstream::Change& change) {
    PrintChange(change);
    std::this_thread::sleep_for(std::chrono::milliseconds(slow_ms));
    for (const confstream::File& file : change.snapshot->files) {
      if (reject.empty() || file.content->find(reject) == std::string::npos) continue;
      return confstream::Status(confstream::StatusCode::kInvalidArgument, "rejected: " + reject);
    }
    return confstream::Status();
  };

  const confstream::Client client(target);
  confstream::Watch watch(client, options);
  std::thread waiter([&] {
    const auto [status, snapshot] = watch.Wait(Seconds(wait_s));
    if (status.ok()) {
      Print({{"event", "settled"}, {"version", snapshot->version}, {"stale", watch.stale()}});
    } else {
      Print({{"event", "wait_failed"}, {"message", status.message()}});
    }
    waited.set_value(&watch);
  });
  for (std::string line; std::getline(std::cin, line) && line != "close";) {
    if (line == "current") PrintCurrent(watch);
  }
  watch.Close();
  waiter.join();
  Print({{"event", "closed"}});
  return EXIT_SUCCESS;
}
