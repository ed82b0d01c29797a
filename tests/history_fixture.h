// A history in a temporary directory, and disks that fail, for the tests of History.

#ifndef CONFSTREAM_TESTS_HISTORY_FIXTURE_H_
#define CONFSTREAM_TESTS_HISTORY_FIXTURE_H_

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "server/history/history.h"
#include "tests/fakes/log_text.h"
#include "tests/fakes/snapshots.h"
#include "tests/fakes/temporary_directory.h"

namespace confstream {

inline constexpr absl::Duration kPatience = absl::Seconds(30);

class RecordingObserver final : public HistoryObserver {
 public:
  void HistoryChanged(const std::string& source) override {
    MutexLock lock(&mu_);
    told_.push_back(source);
    changed_.NotifyAll();
  }
  bool Await(size_t count) {
    const absl::Time deadline = absl::Now() + kPatience;
    MutexLock lock(&mu_);
    while (told_.size() < count && absl::Now() < deadline) {
      changed_.WaitFor(&mu_, deadline - absl::Now());
    }
    return told_.size() >= count;
  }

 private:
  Mutex mu_;
  CondVar changed_;
  std::vector<std::string> told_ ABSL_GUARDED_BY(mu_);
};

// While it lives, files can be made and read, but no byte can be written.
class FullDisk {
 public:
  FullDisk() : before_signal_(std::signal(SIGXFSZ, SIG_IGN)) {
    EXPECT_EQ(getrlimit(RLIMIT_FSIZE, &before_), 0);
    rlimit none = before_;
    none.rlim_cur = 0;
    EXPECT_EQ(setrlimit(RLIMIT_FSIZE, &none), 0);
  }
  ~FullDisk() {
    EXPECT_EQ(setrlimit(RLIMIT_FSIZE, &before_), 0);
    std::signal(SIGXFSZ, before_signal_);
  }
  FullDisk(const FullDisk&) = delete;
  FullDisk& operator=(const FullDisk&) = delete;

 private:
  rlimit before_{};
  void (*const before_signal_)(int);
};

class HistoryTest : public testing::Test {
 protected:
  std::unique_ptr<History> Open(const std::string& directory = "state") {
    auto history = History::Open(directory_.Path(directory), &clock_, &log_);
    EXPECT_TRUE(history.ok()) << history.status();
    return *std::move(history);
  }
  static SourceConfig Config(const std::string& name = "app", bool sensitive = false) {
    SourceConfig config;
    config.name = name;
    config.sensitive = sensitive;
    return config;
  }
  static std::shared_ptr<const Snapshot> Append(SnapshotStore* store, const Files& files) {
    Generation generation = MakeGeneration(files);
    const Sha256 digest = DigestOf(generation);
    return store->Append(std::move(generation), digest, absl::Now());
  }
  static Files FilesOf(const Snapshot& snapshot) {
    Files files;
    for (const SnapshotFile& file : snapshot.files) files[file.path] = file.content->bytes;
    return files;
  }
  // What a killed process leaves: the directory as it is at this moment.
  void CopyAsIfKilled(const std::string& to) {
    std::filesystem::remove_all(directory_.Path(to));
    std::filesystem::copy(directory_.Path("state"), directory_.Path(to));
  }
  std::vector<std::string> FilesLike(const std::string& part) {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(directory_.Path("state"))) {
      const std::string name = entry.path().filename();
      if (absl::StrContains(name, part)) names.push_back(name);
    }
    return names;
  }
  std::string DiskContent() {
    std::string all;
    for (const auto& entry : std::filesystem::directory_iterator(directory_.Path("state"))) {
      std::ifstream file(entry.path());
      all.append(std::istreambuf_iterator<char>(file), {});
    }
    return all;
  }

  TemporaryDirectory directory_;
  SystemClock clock_;
  const std::shared_ptr<LogText> log_text_ = std::make_shared<LogText>();
  Logger log_{LogFormat::kText, LogLevel::kDebug, log_text_};
};

}  // namespace confstream

#endif  // CONFSTREAM_TESTS_HISTORY_FIXTURE_H_
