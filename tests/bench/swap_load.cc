// Swaps a volume in kubelet's way at a fixed rate, for watchers that are programs of their own, and
// prints as JSON when it began each of the swaps, in monotonic nanoseconds.

#include <CLI/CLI.hpp>
#include <cstdint>
#include <exception>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "tests/bench/payload.h"
#include "tests/bench/volume_feed.h"

namespace confstream {
namespace {

struct Swaps {
  std::string directory;
  std::string file = "payload.yaml";
  int64_t first = 0;
  int64_t updates = 1;
  double rate = 1000;
  int bytes = 1024;
};

std::vector<int64_t> Swap(const Swaps& swaps) {
  VolumeFeed feed(swaps.directory, swaps.file);
  std::vector<int64_t> began;
  const int64_t start = MonotonicNanoseconds();
  for (int64_t i = 0; i < swaps.updates; ++i) {
    const int64_t due = start + static_cast<int64_t>(1e9 / swaps.rate * static_cast<double>(i));
    absl::SleepFor(absl::Nanoseconds(due - MonotonicNanoseconds()));
    began.push_back(MonotonicNanoseconds());
    const auto done = feed.Publish(
        MakePayload({swaps.first + i, began.back()}, static_cast<size_t>(swaps.bytes)));
    if (!done.ok()) throw std::runtime_error(std::string(done.status().message()));
  }
  return began;
}

int Main(int argc, char** argv) {
  Swaps swaps;
  CLI::App app("Swaps a volume at a fixed rate.");
  app.add_option("directory", swaps.directory)->required();
  app.add_option("--file", swaps.file, "the key of the volume");
  app.add_option("--first", swaps.first, "number of the first swap")->check(CLI::NonNegativeNumber);
  app.add_option("--updates", swaps.updates)->check(CLI::PositiveNumber);
  app.add_option("--rate", swaps.rate, "swaps a second")->check(CLI::PositiveNumber);
  app.add_option("--bytes", swaps.bytes)->check(CLI::Range(int{kMinPayloadBytes}, 1 << 20));
  CLI11_PARSE(app, argc, argv);
  try {
    std::cout << nlohmann::json(Swap(swaps)).dump() << std::endl;
    return 0;
  } catch (const std::exception& error) {
    std::cerr << "swap_load: " << error.what() << "\n";
    return 1;
  }
}

}  // namespace
}  // namespace confstream

int main(int argc, char** argv) { return confstream::Main(argc, argv); }
