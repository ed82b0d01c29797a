#include "server/base/in_parts.h"

#include <algorithm>
#include <system_error>
#include <thread>
#include <vector>

namespace confstream {
namespace {

// More would not be had on most machines, and there are other sources.
constexpr size_t kMostParts = 4;

}  // namespace

absl::Status InParts(size_t count, size_t least,
                     const std::function<absl::Status(size_t begin, size_t end)>& work) {
  const size_t processors = std::max(1u, std::thread::hardware_concurrency());
  const size_t parts = std::clamp<size_t>(count / least, 1, std::min(processors, kMostParts));
  std::vector<absl::Status> results(parts);
  std::vector<std::thread> threads;
  const auto run = [&](size_t part) {
    results[part] = work(count * part / parts, count * (part + 1) / parts);
  };
  for (size_t part = 1; part < parts; ++part) {
    try {
      threads.emplace_back(run, part);
    } catch (const std::system_error&) {  // no more threads
      run(part);
    }
  }
  run(0);
  for (std::thread& thread : threads) thread.join();
  absl::Status first;
  for (const absl::Status& result : results) first.Update(result);
  return first;
}

}  // namespace confstream
