// Swaps a volume many times in kubelet's way, for end-to-end tests: every file of a swap carries
// the swap's number, so that a torn snapshot shows. Prints the number of the last swap.

#include <cstdint>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "tests/fakes/kubelet_volume.h"

namespace confstream {
namespace {

constexpr char kUsage[] =
    "usage: kubelet_writer DIR [--swaps N] [--first N] [--interval 1ms] [--files a,b]\n"
    "                          [--generation current|older|oldest]\n"
    "Each of the files gets the content `number: <swap>`. The swaps are numbered from --first "
    "(1).\n";

struct WriterArguments {
  std::string directory;
  int64_t swaps = 1;
  int64_t first = 1;
  absl::Duration interval = absl::Milliseconds(1);
  std::vector<std::string> files = {"a", "b"};
  KubeletGeneration generation = KubeletGeneration::kCurrent;
};

std::optional<KubeletGeneration> ParseGeneration(const std::string& text) {
  if (text == "current") return KubeletGeneration::kCurrent;
  if (text == "older") return KubeletGeneration::kOlder;
  if (text == "oldest") return KubeletGeneration::kOldest;
  return std::nullopt;
}

bool SetOption(const std::string& name, const std::string& value, WriterArguments& arguments) {
  if (name == "--swaps") return absl::SimpleAtoi(value, &arguments.swaps);
  if (name == "--first") return absl::SimpleAtoi(value, &arguments.first);
  if (name == "--interval") return absl::ParseDuration(value, &arguments.interval);
  if (name == "--files") {
    arguments.files = absl::StrSplit(value, ',', absl::SkipEmpty());
    return !arguments.files.empty();
  }
  if (name == "--generation") {
    const std::optional<KubeletGeneration> generation = ParseGeneration(value);
    arguments.generation = generation.value_or(KubeletGeneration::kCurrent);
    return generation.has_value();
  }
  return false;
}

std::optional<WriterArguments> ParseArguments(const std::vector<std::string>& words) {
  if (words.size() % 2 != 1) return std::nullopt;
  WriterArguments arguments;
  arguments.directory = words[0];
  for (size_t i = 1; i + 1 < words.size(); i += 2) {
    if (!SetOption(words[i], words[i + 1], arguments)) return std::nullopt;
  }
  return arguments;
}

void Write(const WriterArguments& arguments) {
  KubeletVolumeOptions options;
  options.generation = arguments.generation;
  KubeletVolume volume(arguments.directory, options);
  const int64_t end = arguments.first + arguments.swaps;
  for (int64_t number = arguments.first; number < end; ++number) {
    KubeletVolume::Payload payload;
    for (const std::string& file : arguments.files)
      payload[file] = absl::StrCat("number: ", number, "\n");
    volume.Swap(payload);
    if (number + 1 < end) absl::SleepFor(arguments.interval);
  }
  std::cout << end - 1 << std::endl;
}

}  // namespace
}  // namespace confstream

int main(int argc, char** argv) {
  const auto arguments =
      confstream::ParseArguments(std::vector<std::string>(argv + 1, argv + argc));
  if (!arguments) {
    std::cerr << confstream::kUsage;
    return 2;
  }
  try {
    confstream::Write(*arguments);
  } catch (const std::exception& error) {
    std::cerr << "kubelet_writer: " << error.what() << "\n";
    return 1;
  }
  return 0;
}
