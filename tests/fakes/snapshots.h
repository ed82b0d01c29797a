// Snapshots and states of sources from lists of paths and contents, for tests.

#ifndef CONFSTREAM_TESTS_FAKES_SNAPSHOTS_H_
#define CONFSTREAM_TESTS_FAKES_SNAPSHOTS_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "server/snapshot/snapshot.h"
#include "server/snapshot/source_state.h"

namespace confstream {

using Files =
    std::map<std::string, std::string>;  // path -> content; in byte order, as snapshots are

inline constexpr char kEpochA[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
inline constexpr char kEpochB[] = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

// What a reading finds of `files`.
inline Generation MakeGeneration(const Files& files) {
  Generation generation;
  for (const auto& [path, bytes] : files) {
    generation.files.push_back(
        {path, std::make_shared<const FileContent>(FileContent{bytes, Sha256::Of(bytes)})});
  }
  return generation;
}

inline Sha256 DigestOf(const Generation& generation) {
  TreeDigest digest;
  for (const GenerationFile& file : generation.files) digest.Add(file.path, file.content->digest);
  return digest.Finish();
}

// Version `version` of `source`; every file is said to have changed in it.
inline std::shared_ptr<const Snapshot> MakeSnapshot(int64_t version, const Files& files,
                                                    const std::string& source = "app",
                                                    const std::string& epoch = kEpochA) {
  auto snapshot = std::make_shared<Snapshot>();
  snapshot->source = source;
  snapshot->epoch = epoch;
  snapshot->version = version;
  snapshot->publish_time = absl::FromUnixSeconds(1'767'225'600 + version);
  Generation generation = MakeGeneration(files);
  snapshot->digest = DigestOf(generation);
  for (GenerationFile& file : generation.files) {
    snapshot->files.push_back({std::move(file.path), std::move(file.content), version});
  }
  return snapshot;
}

// WAITING, as a source is announced.
inline std::shared_ptr<SourceState> WaitingState(const std::string& source = "app") {
  auto state = std::make_shared<SourceState>();
  state->source = source;
  state->epoch = kEpochA;
  return state;
}

// SERVING `snapshot`.
inline std::shared_ptr<SourceState> ServingState(
    std::shared_ptr<const Snapshot> snapshot,
    std::shared_ptr<const RetainedVersions> history = nullptr) {
  auto state = std::make_shared<SourceState>();
  state->source = snapshot->source;
  state->epoch = snapshot->epoch;
  state->snapshot = std::move(snapshot);
  state->history = std::move(history);
  state->status.condition = SourceCondition::kServing;
  return state;
}

// With one violation; DEGRADED, or WAITING if there is no snapshot.
inline std::shared_ptr<SourceState> RefusedState(std::shared_ptr<const Snapshot> snapshot,
                                                 const std::string& message,
                                                 const std::string& source = "app",
                                                 const std::string& epoch = kEpochA) {
  auto state = std::make_shared<SourceState>();
  state->source = source;
  state->epoch = epoch;
  state->status.condition =
      snapshot == nullptr ? SourceCondition::kWaiting : SourceCondition::kDegraded;
  state->status.violations = {{"a.yaml", 3, 7, "yaml.syntax", message}};
  state->status.violations_total = 1;
  state->snapshot = std::move(snapshot);
  return state;
}

}  // namespace confstream

#endif  // CONFSTREAM_TESTS_FAKES_SNAPSHOTS_H_
