// What a client makes of a stream: an assembler of its own, which shares no code with the server.

#ifndef CONFSTREAM_TESTS_FAKES_CLIENT_COPY_H_
#define CONFSTREAM_TESTS_FAKES_CLIENT_COPY_H_

#include <gtest/gtest.h>

#include <cstdint>
#include <set>
#include <string>
#include <utility>

#include "confstream/v1/config_service.pb.h"
#include "server/base/sha256.h"
#include "tests/fakes/snapshots.h"

namespace confstream {

// The digest that the API promises for `files`, whose paths need no escaping.
inline std::string ViewDigestOf(const Files& files) {
  std::string lines;
  for (const auto& [path, bytes] : files) lines += Sha256::Of(bytes).Hex() + "  " + path + "\n";
  return Sha256::Of(lines).Text();
}

// Takes messages in order, and expects of each what the API promises. Thread-compatible.
class ClientCopy {
 public:
  ClientCopy() = default;
  // Of a client that holds `files` from an earlier stream.
  ClientCopy(int64_t version, Files files) : files_(std::move(files)), version_(version) {}

  void Take(const v1::WatchResponse& message) {
    if (message.has_snapshot()) {
      TakeContent(message, message.snapshot().files(), message.snapshot().view_digest());
    } else if (message.has_delta()) {
      EXPECT_EQ(message.delta().base_version(), version_) << "of what this client holds";
      for (const std::string& path : message.delta().removed_paths()) {
        EXPECT_EQ(files_.count(path), 1u) << path << " was not there";
        EXPECT_TRUE(removed_.insert(path).second) << path << " is removed twice";
      }
      TakeContent(message, message.delta().changed_files(), message.delta().view_digest());
    } else {
      EXPECT_TRUE(pending_.empty()) << "fragments are not interleaved";
      if (version_ != 0) version_ = message.header().version();
    }
  }

  const Files& files() const { return files_; }
  int64_t version() const { return version_; }
  int64_t deltas() const { return deltas_; }
  int64_t snapshots() const { return snapshots_; }

 private:
  template <typename Entries>
  void TakeContent(const v1::WatchResponse& message, const Entries& entries,
                   const std::string& digest) {
    for (const v1::ConfigFile& entry : entries) {
      std::string& bytes = pending_[entry.path()];
      EXPECT_EQ(static_cast<int64_t>(bytes.size()), entry.content_offset()) << entry.path();
      bytes += entry.content();
      if (static_cast<int64_t>(bytes.size()) == entry.size_bytes()) {
        EXPECT_EQ(Sha256::Of(bytes).Text(), entry.digest()) << entry.path();
      }
      sizes_[entry.path()] = std::to_string(entry.size_bytes());
    }
    if (message.more_fragments()) return;
    for (const auto& [path, bytes] : pending_)
      EXPECT_EQ(std::to_string(bytes.size()), sizes_[path]);
    if (message.has_snapshot()) {
      files_.clear();
      ++snapshots_;
    } else {
      ++deltas_;
    }
    for (const std::string& path : removed_) files_.erase(path);
    for (auto& [path, bytes] : pending_) files_[path] = std::move(bytes);
    EXPECT_GT(message.header().version(), version_);
    version_ = message.header().version();
    pending_.clear();
    sizes_.clear();
    removed_.clear();
    EXPECT_EQ(ViewDigestOf(files_), digest);
  }

  Files files_;
  int64_t version_ = 0;
  int64_t deltas_ = 0;
  int64_t snapshots_ = 0;
  Files pending_;  // of the version that is being received
  Files sizes_;
  std::set<std::string> removed_;
};

}  // namespace confstream

#endif  // CONFSTREAM_TESTS_FAKES_CLIENT_COPY_H_
