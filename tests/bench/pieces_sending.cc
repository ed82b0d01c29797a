// What lies between a published version and the bytes that streams share: differences, views,
// encoding.

#include <benchmark/benchmark.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "confstream/v1/config_service.pb.h"
#include "server/fanout/messages.h"
#include "server/fanout/view.h"
#include "server/fanout/view_delta.h"
#include "server/fanout/view_snapshot.h"
#include "server/snapshot/snapshot.h"
#include "server/snapshot/snapshot_diff.h"
#include "tests/fakes/snapshots.h"

namespace confstream {
namespace {

constexpr size_t kFileBytes = 1024;

std::shared_ptr<const Snapshot> SnapshotOf(int64_t files, size_t file_bytes) {
  Files contents;
  for (int64_t i = 0; i < files; ++i) {
    std::string bytes = absl::StrCat(i, " ");
    bytes.resize(file_bytes, '.');
    contents[absl::StrCat("file-", i)] = std::move(bytes);
  }
  return MakeSnapshot(1, contents);
}

// The version after `base`, in which one file is another; the rest shares its contents.
std::shared_ptr<const Snapshot> WithOneChange(const Snapshot& base) {
  auto next = std::make_shared<Snapshot>(base);
  next->version = base.version + 1;
  const std::string bytes(kFileBytes, '!');
  SnapshotFile& file = next->files[next->files.size() / 2];
  file.content = std::make_shared<const FileContent>(FileContent{bytes, Sha256::Of(bytes)});
  file.last_changed_version = next->version;
  return next;
}

void Diff(benchmark::State& state) {
  const auto base = SnapshotOf(state.range(0), kFileBytes);
  const auto next = WithOneChange(*base);
  for (auto _ : state) {
    const std::vector<FileDifference> found = DiffFiles(base->files, next->files);
    if (found.size() != 1) return state.SkipWithError("one file differs");
  }
}
BENCHMARK(Diff)->Name("diff: one file changed")->ArgName("files")->Arg(16)->Arg(1000);

void MakeDelta(benchmark::State& state) {
  const View view = *View::Parse({});
  const auto base = SnapshotOf(state.range(0), kFileBytes);
  const ViewSnapshot target(WithOneChange(*base), view, nullptr);
  for (auto _ : state) {
    const ViewDelta delta(*base, base->version, target, view);
    if (!delta.IsSmallerThan(target)) return state.SkipWithError("the delta is too large");
    benchmark::DoNotOptimize(delta.EncodeFragment(0));
  }
}
BENCHMARK(MakeDelta)->Name("encode: a delta, one file")->ArgName("files")->Arg(16)->Arg(1000);

void MakeView(benchmark::State& state) {
  const View view = *View::Parse({"file-*"});
  const auto snapshot = SnapshotOf(state.range(0), kFileBytes);
  for (auto _ : state) {
    const ViewSnapshot selected(snapshot, view, nullptr);
    if (selected.files().size() != snapshot->files.size()) return state.SkipWithError("all match");
  }
}
BENCHMARK(MakeView)->Name("encode: a view and its header")->ArgName("files")->Arg(16)->Arg(1000);

void EncodeFragment(benchmark::State& state) {
  const auto bytes = static_cast<size_t>(state.range(0));
  const ViewSnapshot selected(SnapshotOf(1, bytes), *View::Parse({}), nullptr);
  for (auto _ : state) benchmark::DoNotOptimize(selected.EncodeFragment(0));
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(EncodeFragment)
    ->Name("encode: a fragment")
    ->ArgName("bytes")
    ->Arg(1 << 10)
    ->Arg(32 << 10)
    ->Arg(1 << 20);

void EncodeHeader(benchmark::State& state) {
  const auto snapshot = SnapshotOf(1, kFileBytes);
  const ViewSnapshot selected(snapshot, *View::Parse({}), nullptr);
  for (auto _ : state) {
    v1::WatchResponse response;
    FillHeader(*snapshot, selected.position()->token, response.mutable_header());
    benchmark::DoNotOptimize(response.SerializeAsString());
  }
}
BENCHMARK(EncodeHeader)->Name("encode: a header");

}  // namespace
}  // namespace confstream
