// What history costs as it grows: the time of a publication, of recording it and of a start, and
// the size on disk, block of versions after block, as JSON. Each block begins as a new process
// would, with what the blocks before have recorded.
//
// A benchmark, no test: it asserts nothing.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "server/base/clock.h"
#include "server/base/log.h"
#include "server/history/history.h"
#include "tests/fakes/snapshots.h"

namespace confstream {
namespace {

constexpr absl::Duration kPatience = absl::Minutes(5);

struct Options {
  std::string state_dir;
  int versions = 10000;
  int blocks = 10;
  int files = 100;  // of each version; one of them is another than in the version before
  int file_bytes = 1024;
};

std::shared_ptr<const FileContent> Content(std::string bytes, const Options& options) {
  bytes.resize(static_cast<size_t>(options.file_bytes), '.');
  const Sha256 digest = Sha256::Of(bytes);
  return std::make_shared<const FileContent>(FileContent{std::move(bytes), digest});
}

int64_t BytesIn(const std::string& directory) {
  int64_t bytes = 0;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    bytes += static_cast<int64_t>(entry.file_size());
  }
  return bytes;
}

// Publishes a block, and grows `generation` by it. `done`: versions before it.
nlohmann::json RunBlock(const Options& options, int done, int versions, Generation* generation) {
  const SystemClock clock;
  Logger log(LogFormat::kText, LogLevel::kError);
  SourceConfig config;
  config.name = "bench";
  config.retention = {options.versions + 1, absl::Hours(24), int64_t{1} << 40};

  const absl::Time opened = absl::Now();
  auto history = *History::Open(options.state_dir, &clock, &log);
  const std::shared_ptr<SnapshotStore> store = history->Source(config);
  const absl::Duration start = absl::Now() - opened;

  std::vector<double> times_us;
  const absl::Time began = absl::Now();
  for (int version = done; version < done + versions; ++version) {
    generation->files[static_cast<size_t>(version % options.files)].content =
        Content(absl::StrCat("version ", version), options);
    Generation copy = *generation;
    const Sha256 digest = DigestOf(copy);
    const absl::Time before = absl::Now();
    store->Append(std::move(copy), digest, before);
    times_us.push_back(absl::ToDoubleMicroseconds(absl::Now() - before));
  }
  const bool recorded = store->AwaitRecorded(kPatience);
  const absl::Duration all = absl::Now() - began;
  history->Close();
  std::sort(times_us.begin(), times_us.end());
  return {{"versions_before", done},
          {"versions", versions},
          {"start_ms", absl::ToDoubleMilliseconds(start)},
          {"append_median_us", times_us[times_us.size() / 2]},
          {"append_p99_us", times_us[times_us.size() * 99 / 100]},
          {"recorded", recorded},
          {"recorded_us_per_version", absl::ToDoubleMicroseconds(all) / versions},
          {"disk_bytes", BytesIn(options.state_dir)}};
}

nlohmann::json Run(const Options& options) {
  Generation generation;
  for (int i = 0; i < options.files; ++i) {
    generation.files.push_back(
        {absl::StrCat("file-", 1000 + i), Content(absl::StrCat(i), options)});
  }
  nlohmann::json blocks = nlohmann::json::array();
  for (int block = 0; block < options.blocks; ++block) {
    const int done = options.versions / options.blocks * block;
    blocks.push_back(RunBlock(options, done, options.versions / options.blocks, &generation));
  }
  return {{"files", options.files}, {"file_bytes", options.file_bytes}, {"blocks", blocks}};
}

int Main(int argc, char** argv) {
  Options options;
  CLI::App app("Publishes many versions, and prints what that cost as they grew more.");
  app.add_option("STATE_DIR", options.state_dir, "where they are recorded; exists, and is empty")
      ->check(CLI::ExistingDirectory)
      ->required();
  app.add_option("--versions", options.versions)->check(CLI::PositiveNumber);
  app.add_option("--blocks", options.blocks, "into which they are divided; a figure each")
      ->check(CLI::PositiveNumber);
  app.add_option("--files", options.files, "of each version; one of them changes")
      ->check(CLI::PositiveNumber);
  app.add_option("--file-bytes", options.file_bytes)->check(CLI::PositiveNumber);
  CLI11_PARSE(app, argc, argv);
  if (options.versions < options.blocks) {
    std::cerr << "history_bench: a block is to have a version at least\n";
    return 1;
  }
  std::cout << Run(options).dump() << std::endl;
  return 0;
}

}  // namespace
}  // namespace confstream

int main(int argc, char** argv) { return confstream::Main(argc, argv); }
