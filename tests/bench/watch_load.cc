// The load client of the benchmarks: watches a server with many streams, publishes to it at a fixed
// rate, and prints as JSON how long the updates took to arrive and what that cost the server. The
// same for every kind of server: one thread, one completion queue, raw messages; what differs is
// how to ask for a stream and where to publish.
//
// The clock of an update starts before publishing begins: for confstreamd before the first file of
// the new generation is made, for etcd before Put is called, for the bare servers before the packet
// is sent. A server that skips updates is charged for them until a later one arrives.
//
// A benchmark, no test: it measures, and says whether every watcher ended at the last update.

#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <sys/resource.h>
#include <sys/types.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "confstream/v1/config_service.pb.h"
#include "etcd.pb.h"
#include "tests/bench/etcd_feed.h"
#include "tests/bench/payload.h"
#include "tests/bench/process_usage.h"
#include "tests/bench/receipts.h"
#include "tests/bench/socket_feed.h"
#include "tests/bench/volume_feed.h"
#include "tests/bench/watch_call.h"

namespace confstream {
namespace {

constexpr char kEtcdKey[] = "payload";
constexpr int kReadBytes = 64 << 10;
constexpr absl::Duration kPatience = absl::Seconds(60);
// Where the distribution of all times is told; propagation.py has the same.
constexpr double kParts[] = {0,   0.01, 0.02, 0.05, 0.1,  0.2,  0.3,   0.4,   0.5, 0.6,
                             0.7, 0.8,  0.9,  0.95, 0.98, 0.99, 0.995, 0.999, 1};
// Memory has settled once it has stayed the same for this long, and is waited for no longer than
// kPatience.
constexpr absl::Duration kStillness = absl::Milliseconds(500);
// Looking at the server's memory more often would take time from it.
constexpr absl::Duration kSamples = absl::Milliseconds(20);

struct Options {
  std::string server;
  std::string address;
  std::string feed;
  std::vector<std::string> sources = {"bench"};
  std::string file = "payload";
  pid_t pid = 0;
  int watchers = 1;
  int connections = 1;
  int bytes = 1024;
  double rate = 10;
  int updates = 0;
  int warm_up = 0;
  bool bandwidth_probes = true;  // as gRPC's clients do by default
  bool deltas = false;
  int other_files = 0;  // of the volume, beside the one that changes
  int other_bytes = 65536;
  int stalled = 0;   // streams that read nothing, each on a connection of its own
  double still = 0;  // seconds
};

std::unique_ptr<Feed> MakeFeed(const Options& options) {
  if (options.server == "confstream") {
    auto feed = std::make_unique<VolumeFeed>(options.feed, options.file);
    // Their names come after that of the file that changes, where FindPayloads() looks.
    for (int i = 0; i < options.other_files; ++i) {
      feed->AddFile(absl::StrCat("unchanged-", i),
                    std::string(static_cast<size_t>(options.other_bytes), 'x'));
    }
    return feed;
  }
  if (options.server == "etcd") return std::make_unique<EtcdFeed>(options.address, kEtcdKey);
  auto feed = SocketFeed::Connect(options.feed);
  if (!feed.ok()) throw std::runtime_error(std::string(feed.status().message()));
  return *std::move(feed);
}

WatchMethod MethodOf(const Options& options, const std::string& source) {
  if (options.server == "etcd") {
    etcdserverpb::WatchRequest request;
    request.mutable_create_request()->set_key(kEtcdKey);
    return {"/etcdserverpb.Watch/Watch", request.SerializeAsString(), false};
  }
  v1::WatchRequest request;
  request.set_source(source);
  if (options.deltas) request.set_mode(v1::WATCH_MODE_DELTA);
  request.mutable_heartbeat_interval();  // none: only updates are measured
  return {"/confstream.v1.ConfigService/Watch", request.SerializeAsString(), true};
}

// False: it did not become true in time.
bool Await(const std::function<bool()>& condition) {
  const absl::Time deadline = absl::Now() + kPatience;
  while (!condition()) {
    if (absl::Now() > deadline) return false;
    absl::SleepFor(absl::Milliseconds(5));
  }
  return true;
}

int64_t SettledRss(pid_t pid) {
  int64_t rss = ResidentBytes(pid);
  absl::Time since = absl::Now();
  Await([&] {
    const int64_t now = ResidentBytes(pid);
    if (now != rss) since = absl::Now();
    rss = now;
    return absl::Now() >= since + kStillness;
  });
  return rss;
}

// The streams, and the thread that reads them.
class Watchers {
 public:
  Watchers(const Options& options, Receipts* receipts) {
    for (const std::string& source : options.sources) {
      methods_.push_back(MethodOf(options, source));
    }
    grpc::ChannelArguments arguments;
    // Otherwise all channels to one address share a connection.
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    // Large messages are read in few pieces: this client is to cost little.
    arguments.SetInt(GRPC_ARG_TCP_READ_CHUNK_SIZE, kReadBytes);
    arguments.SetInt(GRPC_ARG_TCP_MIN_READ_CHUNK_SIZE, kReadBytes);
    arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, options.bandwidth_probes ? 1 : 0);
    for (int i = 0; i < options.connections + options.stalled; ++i) {
      stubs_.push_back(std::make_unique<grpc::GenericStub>(grpc::CreateCustomChannel(
          options.address, grpc::InsecureChannelCredentials(), arguments)));
    }
    const auto connections = static_cast<size_t>(options.connections);
    for (size_t i = 0; i < static_cast<size_t>(options.watchers); ++i) {
      calls_.push_back(std::make_unique<WatchCall>(
          stubs_[i % connections].get(), &queue_, &methods_[i % methods_.size()],
          static_cast<size_t>(options.bytes), i, receipts));
    }
    for (size_t i = connections; i < stubs_.size(); ++i) {
      calls_.push_back(std::make_unique<WatchCall>(stubs_[i].get(), &queue_, &methods_[0]));
    }
    thread_ = std::thread([this] { Read(); });
  }

  // Ends all streams.
  ~Watchers() {
    for (const auto& call : calls_) call->Cancel();
    thread_.join();
  }

 private:
  void Read() {
    size_t open = calls_.size();
    void* tag = nullptr;
    bool ok = false;
    while (open > 0 && queue_.Next(&tag, &ok)) {
      auto* const call = static_cast<WatchCall*>(tag);
      if (call->Proceed(ok)) continue;
      --open;
      if (call->status().error_code() != grpc::StatusCode::CANCELLED && !said_) {
        said_ = true;
        std::cerr << "watch_load: a stream ended: " << call->status().error_message() << "\n";
      }
    }
  }

  std::vector<WatchMethod> methods_;
  grpc::CompletionQueue queue_;
  std::vector<std::unique_ptr<grpc::GenericStub>> stubs_;
  std::vector<std::unique_ptr<WatchCall>> calls_;
  bool said_ = false;
  std::thread thread_;
};

struct Published {
  double late_ms = 0;              // how far publishing fell behind the rate, at most
  std::vector<double> prepare_ms;  // from the beginning to the step that let the server know
  std::vector<int64_t> rss_bytes;  // of the server, before updates that are kSamples apart
};

// Publishes updates `first` to `last` at the rate, whatever becomes of them.
Published PublishAll(const Options& options, int64_t first, int64_t last, Feed* feed,
                     Receipts* receipts) {
  Published published;
  const int64_t start = MonotonicNanoseconds();
  absl::Time sample_at;
  for (int64_t number = first; number <= last; ++number) {
    const int64_t due =
        start + static_cast<int64_t>(1e9 / options.rate * static_cast<double>(number - first));
    absl::SleepFor(absl::Nanoseconds(due - MonotonicNanoseconds()));
    if (absl::Now() >= sample_at) {
      published.rss_bytes.push_back(ResidentBytes(options.pid));
      sample_at = absl::Now() + kSamples;
    }
    const int64_t began = MonotonicNanoseconds();
    receipts->NotePublished(number, began);
    const auto committed =
        feed->Publish(MakePayload({number, began}, static_cast<size_t>(options.bytes)));
    if (!committed.ok()) throw std::runtime_error(std::string(committed.status().message()));
    published.late_ms = std::max(published.late_ms, static_cast<double>(began - due) / 1e6);
    published.prepare_ms.push_back(static_cast<double>(*committed - began) / 1e6);
  }
  return published;
}

// Of ascending nanoseconds, in milliseconds.
double Quantile(const std::vector<int64_t>& sorted, double part) {
  const auto last = static_cast<double>(sorted.size() - 1);
  return static_cast<double>(sorted[static_cast<size_t>(part * last + 0.5)]) / 1e6;
}

double Median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

// Medians over the updates of what was measured over the watchers; `all_...`: over both.
nlohmann::json Latencies(const Receipts& receipts, int watchers) {
  std::vector<double> first, median, p99, last;
  std::vector<int64_t> all;
  for (const auto& sorted : receipts.SortedLatencies()) {
    all.insert(all.end(), sorted.begin(), sorted.end());
    if (sorted.size() < static_cast<size_t>(watchers)) continue;  // then at_last tells
    first.push_back(Quantile(sorted, 0));
    median.push_back(Quantile(sorted, 0.5));
    p99.push_back(Quantile(sorted, 0.99));
    last.push_back(Quantile(sorted, 1));
  }
  if (last.empty()) return nlohmann::json::object();
  std::sort(all.begin(), all.end());
  std::vector<double> quantiles;
  for (const double part : kParts) quantiles.push_back(Quantile(all, part));
  return {{"first_ms", Median(first)},
          {"median_ms", Median(median)},
          {"p99_ms", Median(p99)},
          {"last_ms", Median(last)},
          {"all_median_ms", Quantile(all, 0.5)},
          {"all_p99_ms", Quantile(all, 0.99)},
          {"all_quantiles", {{"parts", kParts}, {"ms", quantiles}}},
          {"worst_ms", Quantile(all, 1)},
          {"updates", last.size()}};
}

// What the server uses of a processor while nothing is published.
double CoresWhileStill(const Options& options) {
  if (options.still <= 0) return 0;
  const ProcessUsage before = ProcessUsage::Of(options.pid);
  const int64_t began = MonotonicNanoseconds();
  absl::SleepFor(absl::Seconds(options.still));
  const ProcessUsage after = ProcessUsage::Of(options.pid);
  return static_cast<double>(after.cpu_us - before.cpu_us) * 1e3 /
         static_cast<double>(MonotonicNanoseconds() - began);
}

nlohmann::json Run(const Options& options) {
  const std::unique_ptr<Feed> feed = MakeFeed(options);
  const int64_t last = options.warm_up + options.updates;
  const auto watchers = static_cast<int64_t>(options.watchers);
  Receipts receipts(static_cast<size_t>(options.watchers), options.warm_up, last);
  PublishAll(options, 0, 0, feed.get(), &receipts);
  const int64_t rss_before = SettledRss(options.pid);

  Watchers streams(options, &receipts);
  if (!Await([&] { return receipts.open() == watchers || receipts.failed() > 0; }) ||
      receipts.failed() > 0) {
    throw std::runtime_error(
        absl::StrCat(receipts.open(), " of ", watchers, " streams could be opened"));
  }
  const int64_t rss_open = SettledRss(options.pid);
  const double still_cores = CoresWhileStill(options);

  PublishAll(options, 1, options.warm_up, feed.get(), &receipts);
  if (options.warm_up > 0) Await([&] { return receipts.warm() == watchers; });
  const ProcessUsage server_before = ProcessUsage::Of(options.pid);
  const ProcessUsage client_before = ProcessUsage::Of(getpid());
  const int64_t busy_before = MachineBusyMicroseconds();
  const int64_t began = MonotonicNanoseconds();
  const Published published = PublishAll(options, options.warm_up + 1, last, feed.get(), &receipts);
  if (options.updates > 0) {
    Await([&] { return receipts.at_last() == watchers || receipts.failed() > 0; });
  }
  const ProcessUsage server = ProcessUsage::Of(options.pid);
  const ProcessUsage client = ProcessUsage::Of(getpid());
  const double seconds = static_cast<double>(MonotonicNanoseconds() - began) / 1e9;
  const int64_t server_us = server.cpu_us - server_before.cpu_us;
  const int64_t client_us = client.cpu_us - client_before.cpu_us;
  const int64_t others_us = MachineBusyMicroseconds() - busy_before - server_us - client_us;
  const int64_t deliveries = receipts.deliveries();
  const auto per_delivery = [deliveries](int64_t amount) {
    return deliveries == 0 ? 0.0 : static_cast<double>(amount) / static_cast<double>(deliveries);
  };

  nlohmann::json result = {
      {"server", options.server},
      {"watchers", watchers},
      {"connections", options.connections},
      {"bytes", options.bytes},
      {"rate", options.rate},
      {"deliveries", deliveries},
      {"skipped", receipts.skipped()},
      {"at_last", options.updates > 0 ? receipts.at_last() : receipts.open()},
      {"failed", receipts.failed()},
      {"seconds", seconds},
      {"late_ms", published.late_ms},
      {"prepare_ms", Median(published.prepare_ms)},
      {"server_cpu_us_per_delivery", per_delivery(server_us)},
      {"server_user_us_per_delivery", per_delivery(server.user_us - server_before.user_us)},
      {"server_cpu_ms_per_update",
       options.updates == 0 ? 0.0 : static_cast<double>(server_us) / 1e3 / options.updates},
      {"server_switches_per_delivery",
       per_delivery(server.context_switches - server_before.context_switches)},
      {"server_threads", server.threads},
      {"client_cpu_us_per_delivery", per_delivery(client_us)},
      // Softirq time that no process was charged with is in here, too.
      {"other_cpu_cores", static_cast<double>(others_us) / 1e6 / seconds},
      {"received_bytes_per_delivery", per_delivery(receipts.received_bytes())},
      {"still_cores", still_cores},
      {"rss_bytes", published.rss_bytes},
      {"rss_before_bytes", rss_before},
      {"rss_open_bytes", rss_open},
      {"rss_after_bytes", server.rss_bytes},
      {"rss_peak_bytes", server.peak_bytes},
      {"idle_bytes_per_watcher", static_cast<double>(rss_open - rss_before) / options.watchers}};
  if (options.updates > 0) result.update(Latencies(receipts, options.watchers));
  return result;
}

int Main(int argc, char** argv) {
  Options options;
  CLI::App app("Watches a server with many streams, publishes to it, and prints what that took.");
  app.add_option("--server", options.server, "what kind of server it is")
      ->check(CLI::IsMember({"confstream", "etcd", "bare"}))
      ->required();
  app.add_option("--address", options.address, "of its gRPC port")->required();
  app.add_option("--pid", options.pid, "of its process")->required();
  app.add_option("--feed", options.feed, "the volume's directory, or the bare server's socket");
  app.add_option("--source", options.sources,
                 "of confstreamd; the first is the volume; watchers are shared out among several");
  app.add_option("--file", options.file,
                 "the key of the volume; the name decides what is validated");
  app.add_option("--watchers", options.watchers)->check(CLI::PositiveNumber);
  app.add_option("--connections", options.connections)->check(CLI::PositiveNumber);
  app.add_option("--bytes", options.bytes)->check(CLI::Range(int{kMinPayloadBytes}, 1 << 20));
  app.add_option("--rate", options.rate, "updates a second")->check(CLI::PositiveNumber);
  app.add_option("--updates", options.updates)->check(CLI::NonNegativeNumber);
  app.add_option("--warm-up", options.warm_up, "updates before those that are measured")
      ->check(CLI::NonNegativeNumber);
  app.add_flag("!--no-bandwidth-probes", options.bandwidth_probes,
               "do not ping to estimate the bandwidth; gRPC's clients do, for each message or so");
  app.add_flag("--deltas", options.deltas, "ask for what changed only");
  app.add_option("--other-files", options.other_files, "of the volume, which never change")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--other-bytes", options.other_bytes, "size of each of them");
  app.add_option("--stalled", options.stalled,
                 "streams besides that read nothing, each on a connection of its own")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--still", options.still, "seconds without any update, before the updates");
  CLI11_PARSE(app, argc, argv);
  // The packaged Abseil looks for deadlocks at every lock: a sixth of this client's time.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
  }
  try {
    const nlohmann::json result = Run(options);
    std::cout << result.dump() << std::endl;
    return result["at_last"] == options.watchers ? 0 : 1;
  } catch (const std::exception& error) {
    std::cerr << "watch_load: " << error.what() << "\n";
    return 1;
  }
}

}  // namespace
}  // namespace confstream

int main(int argc, char** argv) { return confstream::Main(argc, argv); }
