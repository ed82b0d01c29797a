// What history costs as it grows: the time of a publication, and of a start, and the size on disk,
// with more and more versions. A benchmark, no test: it prints a table and asserts nothing.
//
//   history_bench [STATE_DIR]     default: a new temporary directory

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "server/base/clock.h"
#include "server/base/log.h"
#include "server/history/history.h"
#include "tests/fakes/temporary_directory.h"

namespace confstream {
namespace {

constexpr int kFiles = 100;
constexpr int kFileBytes = 1024;
constexpr int kVersions = 10000;
constexpr int kBlock = 1000;

std::shared_ptr<const FileContent> Content(const std::string& text) {
  std::string bytes = text;
  bytes.resize(kFileBytes, '.');
  const Sha256 digest = Sha256::Of(bytes);
  return std::make_shared<const FileContent>(FileContent{std::move(bytes), digest});
}

Sha256 DigestOf(const Generation& generation) {
  TreeDigest digest;
  for (const GenerationFile& file : generation.files) digest.Add(file.path, file.content->digest);
  return digest.Finish();
}

double Micros(absl::Duration duration) { return absl::ToDoubleMicroseconds(duration); }

int64_t BytesIn(const std::string& directory) {
  int64_t bytes = 0;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    bytes += static_cast<int64_t>(entry.file_size());
  }
  return bytes;
}

void Run(const std::string& state_dir) {
  const SystemClock clock;
  Logger log(LogFormat::kText, LogLevel::kError);
  SourceConfig config;
  config.name = "bench";
  config.retention = {kVersions + 1, absl::Hours(24), int64_t{1} << 30};
  Generation generation;
  for (int i = 0; i < kFiles; ++i) {
    generation.files.push_back({absl::StrCat("file-", 1000 + i), Content(absl::StrCat(i))});
  }
  std::printf("%9s %14s %14s %12s %12s\n", "versions", "append median", "append p99", "start",
              "on disk");
  for (int done = 0; done < kVersions; done += kBlock) {
    auto history = *History::Open(state_dir, &clock, &log);
    const absl::Time began = absl::Now();
    const std::shared_ptr<SnapshotStore> store = history->Source(config);
    const absl::Duration start = absl::Now() - began;
    std::vector<absl::Duration> times;
    for (int i = 0; i < kBlock; ++i) {
      generation.files[static_cast<size_t>(i % kFiles)].content =
          Content(absl::StrCat("version ", done + i));
      Generation copy = generation;
      const Sha256 digest = DigestOf(copy);
      const absl::Time before = absl::Now();
      store->Append(std::move(copy), digest, before);
      times.push_back(absl::Now() - before);
    }
    std::sort(times.begin(), times.end());
    store->AwaitRecorded(absl::Minutes(1));
    history->Close();
    std::printf("%9d %11.1f us %11.1f us %9.1f ms %8.1f MiB\n", done + kBlock,
                Micros(times[times.size() / 2]), Micros(times[times.size() * 99 / 100]),
                Micros(start) / 1000, static_cast<double>(BytesIn(state_dir)) / (1 << 20));
  }
}

}  // namespace
}  // namespace confstream

int main(int argc, char** argv) {
  if (argc > 1) {
    confstream::Run(argv[1]);
  } else {
    const confstream::TemporaryDirectory directory;
    confstream::Run(directory.path());
  }
}
