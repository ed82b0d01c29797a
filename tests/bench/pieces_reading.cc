// What a reading is made of: where the source leads, listing and reading it, digests.

#include <benchmark/benchmark.h>

#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "server/base/clock.h"
#include "server/base/file_system.h"
#include "server/base/link_resolver.h"
#include "server/base/sha256.h"
#include "server/snapshot/snapshot.h"
#include "server/snapshot/snapshot_reader.h"
#include "tests/fakes/kubelet_volume.h"
#include "tests/fakes/snapshots.h"
#include "tests/fakes/temporary_directory.h"

namespace confstream {
namespace {

constexpr size_t kFileBytes = 1024;

// An hour ahead, so that the files look as old as those of a real source mostly are: bytes are
// taken from the reading before only if a file has been left alone for a while.
class LaterClock final : public Clock {
 public:
  absl::Time WallNow() const override { return SystemClock().WallNow() + absl::Hours(1); }
  Instant Now() const override { return SystemClock().Now(); }
};

// A volume as kubelet writes it, with files of 1 KiB.
class Volume {
 public:
  explicit Volume(int64_t files) : volume_(directory_.Path("volume")) {
    KubeletVolume::Payload payload;
    for (int64_t i = 0; i < files; ++i) {
      std::string bytes = absl::StrCat(i, " ");
      bytes.resize(kFileBytes, '.');
      payload[absl::StrCat("file-", i)] = std::move(bytes);
    }
    volume_.Swap(payload);
    config_.name = "bench";
    config_.path = volume_.path();
  }

  const SourceConfig& config() const { return config_; }

  ResolvedPath Resolve() const { return resolver_.ResolveSource(config_.path, false); }

  ReadRequest Request(ReadCause cause) const {
    ReadRequest request;
    request.source = config_.name;
    request.cause = cause;
    request.route = Resolve();
    if (const Hop* data = FindDataHop(*request.route); data && cause == ReadCause::kCommit) {
      request.commit = HopName{data->directory, data->name};
    }
    return request;
  }

 private:
  const TemporaryDirectory directory_;
  KubeletVolume volume_;
  PosixFileSystem file_system_;
  const LinkResolver resolver_{&file_system_};
  SourceConfig config_;
};

void ResolveVolume(benchmark::State& state) {
  const Volume volume(1);
  for (auto _ : state) {
    const ResolvedPath route = volume.Resolve();
    if (!route.status.ok()) return state.SkipWithError("the volume was not found");
  }
}
BENCHMARK(ResolveVolume)->Name("resolve: a volume");

void ReadFirst(benchmark::State& state) {
  const Volume volume(state.range(0));
  const LaterClock clock;
  PosixFileSystem file_system;
  const ReadRequest request = volume.Request(ReadCause::kCommit);
  for (auto _ : state) {
    SnapshotReader reader(&clock, &file_system, volume.config());
    const Reading reading = reader.Read(request);
    if (reading.result != Reading::kGeneration) return state.SkipWithError("nothing was read");
  }
  state.SetBytesProcessed(state.iterations() * state.range(0) * int64_t{kFileBytes});
}
BENCHMARK(ReadFirst)->Name("read: a new volume")->ArgName("files")->Arg(16)->Arg(1000);

void ReadUnchanged(benchmark::State& state) {
  const Volume volume(state.range(0));
  const LaterClock clock;
  PosixFileSystem file_system;
  SnapshotReader reader(&clock, &file_system, volume.config());
  const Reading first = reader.Read(volume.Request(ReadCause::kRecheck));
  const ReadRequest request = volume.Request(ReadCause::kRecheck);
  for (auto _ : state) {
    const Reading reading = reader.Read(request);
    if (reading.result != Reading::kGeneration ||
        reading.generation.files[0].content != first.generation.files[0].content) {
      return state.SkipWithError("the bytes were read again");
    }
  }
}
BENCHMARK(ReadUnchanged)->Name("read: nothing changed")->ArgName("files")->Arg(16)->Arg(1000);

void DigestBytes(benchmark::State& state) {
  const std::string bytes(static_cast<size_t>(state.range(0)), 'x');
  for (auto _ : state) benchmark::DoNotOptimize(Sha256::Of(bytes));
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(DigestBytes)->Name("digest: a file")->ArgName("bytes")->Arg(1 << 10)->Arg(1 << 20);

void DigestTree(benchmark::State& state) {
  Files files;
  for (int64_t i = 0; i < state.range(0); ++i) files[absl::StrCat("file-", i)] = absl::StrCat(i);
  const Generation generation = MakeGeneration(files);
  for (auto _ : state) benchmark::DoNotOptimize(DigestOf(generation));
}
BENCHMARK(DigestTree)->Name("digest: a tree")->ArgName("files")->Arg(16)->Arg(1000);

}  // namespace
}  // namespace confstream
