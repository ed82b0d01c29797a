// A history that a test fills and thins out.

#ifndef CONFSTREAM_TESTS_FAKES_FAKE_HISTORY_H_
#define CONFSTREAM_TESTS_FAKES_FAKE_HISTORY_H_

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "server/base/mutex.h"
#include "server/snapshot/retained_versions.h"

namespace confstream {

// Retains what it is given until it is told otherwise. Thread-safe.
class FakeHistory final : public RetainedVersions {
 public:
  void Add(std::shared_ptr<const Snapshot> snapshot) {
    MutexLock lock(&mu_);
    const int64_t version = snapshot->version;
    versions_[version] = std::move(snapshot);
  }
  // As retention does it: the newest stays.
  void DropUpTo(int64_t version) {
    MutexLock lock(&mu_);
    while (versions_.size() > 1 && versions_.begin()->first <= version) {
      dropped_up_to_ = versions_.begin()->first;
      versions_.erase(versions_.begin());
    }
  }
  // As if the server had been killed before it was recorded.
  void Lose(int64_t version) {
    MutexLock lock(&mu_);
    versions_.erase(version);
  }

  std::shared_ptr<const Snapshot> Find(int64_t version) const override {
    MutexLock lock(&mu_);
    const auto found = versions_.find(version);
    return found == versions_.end() ? nullptr : found->second;
  }
  std::shared_ptr<const Snapshot> FindAfter(int64_t version) const override {
    MutexLock lock(&mu_);
    const auto found = versions_.upper_bound(version);
    return found == versions_.end() ? nullptr : found->second;
  }
  int64_t dropped_up_to() const override {
    MutexLock lock(&mu_);
    return dropped_up_to_;
  }
  std::vector<VersionSummary> List(int64_t before, size_t max_count) const override {
    MutexLock lock(&mu_);
    std::vector<VersionSummary> listed;
    for (auto it = versions_.rbegin(); it != versions_.rend() && listed.size() < max_count; ++it) {
      if (it->first >= before) continue;
      VersionSummary summary;
      summary.epoch = it->second->epoch;
      summary.version = it->first;
      summary.digest = it->second->digest;
      summary.publish_time = it->second->publish_time;
      summary.file_count = static_cast<int64_t>(it->second->files.size());
      listed.push_back(std::move(summary));
    }
    return listed;
  }

 private:
  mutable Mutex mu_;
  std::map<int64_t, std::shared_ptr<const Snapshot>> versions_ ABSL_GUARDED_BY(mu_);
  int64_t dropped_up_to_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace confstream

#endif  // CONFSTREAM_TESTS_FAKES_FAKE_HISTORY_H_
