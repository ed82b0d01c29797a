// A source in a temporary directory, read by a SnapshotReader whose file system calls back and
// whose clock runs ahead.

#ifndef CONFSTREAM_TESTS_SNAPSHOT_READER_FIXTURE_H_
#define CONFSTREAM_TESTS_SNAPSHOT_READER_FIXTURE_H_

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/snapshot/snapshot_reader.h"
#include "tests/fakes/files.h"
#include "tests/fakes/hooked_file_system.h"
#include "tests/fakes/temporary_directory.h"

namespace confstream {

// The machine's clock with the wall clock shifted, to make files older than they are.
class ShiftedClock final : public Clock {
 public:
  absl::Time WallNow() const override { return absl::Now() + shift; }
  Instant Now() const override { return SystemClock().Now() + since_boot_shift; }
  absl::Duration shift = absl::ZeroDuration();
  absl::Duration since_boot_shift = absl::ZeroDuration();
};

class SnapshotReaderTest : public testing::Test {
 protected:
  std::string Path(const std::string& relative) { return directory_.Path(relative); }

  void Configure(const std::string& relative) {
    config_.name = "s";
    config_.path = Path(relative);
    reader_ = std::make_unique<SnapshotReader>(&clock_, &file_system_, config_);
  }

  ReadRequest Request(ReadCause cause) {
    ReadRequest request;
    request.source = "s";
    request.cause = cause;
    request.route = LinkResolver(&real_).ResolveSource(config_.path, false);
    if (const Hop* data = FindDataHop(*request.route); data && cause == ReadCause::kCommit) {
      request.commit = HopName{data->directory, data->name};
    }
    return request;
  }

  Reading Read(ReadCause cause) { return reader_->Read(Request(cause)); }

  static std::vector<std::string> Contents(const Reading& reading) {
    std::vector<std::string> contents;
    for (const GenerationFile& file : reading.generation.files) {
      contents.push_back(absl::StrCat(file.path, "=", file.content->bytes));
    }
    return contents;
  }

  // How many files' bytes are read by the next readings, how often the tree is looked at that has
  // f0, and how often directories are listed for it.
  void CountReads() {
    file_system_.before = [this](HookedFileSystem::Call call, const std::string& entry) {
      if (call == HookedFileSystem::kOpenForReading) ++reads_;
      if (call == HookedFileSystem::kStatEntry && entry == "f0") ++looks_;
      if (call == HookedFileSystem::kList) ++lists_;
      return absl::OkStatus();
    };
  }

  // Ten old files in one directory, f0 to f9, which have been read; the next readings are counted.
  void ReadTenFiles() {
    for (int i = 0; i < 10; ++i) WriteFile(Path(absl::StrCat("s/f", i)), "x");
    clock_.shift = absl::Seconds(10);
    Configure("s");
    EXPECT_EQ(Read(ReadCause::kSettled).result, Reading::kGeneration);
    CountReads();
  }

  // Reads once events have named these files.
  Reading ReadNamed(const std::vector<std::string>& paths) {
    ReadRequest request = Request(ReadCause::kSettled);
    for (const std::string& path : paths) request.touched.Add(path);
    return reader_->Read(request);
  }

  // Something happens before the first call of this kind, for the entry `name` if it has one; calls
  // are counted no more, but for looks.
  void Before(HookedFileSystem::Call wanted, const std::string& name,
              const std::function<void()>& what_happens) {
    file_system_.before = [this, wanted, name, what_happens, done = false](
                              HookedFileSystem::Call call, const std::string& entry) mutable {
      if (call == HookedFileSystem::kStatEntry && entry == "f0") ++looks_;
      if (call == wanted && entry == name && !std::exchange(done, true)) what_happens();
      return absl::OkStatus();
    };
  }

  TemporaryDirectory directory_;
  ShiftedClock clock_;
  PosixFileSystem real_;
  HookedFileSystem file_system_;
  SourceConfig config_;
  std::unique_ptr<SnapshotReader> reader_;
  int reads_ = 0;
  int looks_ = 0;
  int lists_ = 0;
};

}  // namespace confstream

#endif  // CONFSTREAM_TESTS_SNAPSHOT_READER_FIXTURE_H_
