// From any versions of a source to a client: what the server's session sends, deltas and fragments
// and resumed streams, the client's assembler makes into the files of the version. The input: path
// globs, one a line; then for each version, after a line `---`, its files, one a line: `PATH
// CONTENT`, or `PATH CONTENT***` for one that takes two fragments. A line `!` ends the stream, and
// the next one resumes it.

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "client/cpp/snapshot_assembler.h"
#include "server/fanout/fragment.h"
#include "tests/fakes/session_driver.h"
#include "tests/fuzz/fuzzing.h"
#include "tests/fuzz/sha256sum_text.h"

namespace confstream {
namespace {

constexpr size_t kMaxVersions = 12;
constexpr int kMaxLargeFiles = 1;  // they take most of the time

struct Version {
  Files files;
  bool new_stream = false;  // before this version
};

struct Story {
  std::vector<std::string> globs;
  std::vector<Version> versions;
};

Story Read(absl::string_view input) {
  Story story;
  int large = 0;
  for (absl::string_view line : absl::StrSplit(input, '\n')) {
    if (line == "---") {
      if (story.versions.size() == kMaxVersions) break;
      story.versions.emplace_back();
    } else if (story.versions.empty()) {
      if (PathGlob::Parse(line).ok()) story.globs.emplace_back(line);
    } else if (line == "!") {
      story.versions.back().new_stream = true;
    } else {
      const std::pair<std::string, std::string> file =
          absl::StrSplit(line, absl::MaxSplits(' ', 1));
      absl::string_view content = file.second;
      // Validation lets no other paths pass.
      if (file.first.empty() || !IsValidUtf8(file.first) || HasControlCharacters(file.first)) {
        continue;
      }
      std::string bytes(content);
      if (absl::ConsumeSuffix(&content, "***") && ++large <= kMaxLargeFiles) {
        bytes = absl::StrCat(content, std::string(FragmentCutter::kFragmentBytes, 'x'));
      }
      story.versions.back().files[file.first] = std::move(bytes);
    }
  }
  return story;
}

class Delivery {
 public:
  Delivery(Story story, bool every_version)
      : story_(std::move(story)), view_(*View::Parse(story_.globs)), driver_(story_.globs) {
    spec_.deltas = true;
    spec_.every_version = every_version;
  }

  void Run() {
    bool open = false;
    for (const Version& version : story_.versions) {
      driver_.Publish(++published_, version.files);
      if (!open || version.new_stream) Open();
      open = true;
      Drain();
      RequireHeld(version.files);
    }
  }

 private:
  void Open() {
    assembler_.BeginStream();
    if (assembler_.resume_token().empty()) {
      driver_.Open(spec_);
    } else {
      driver_.Resume(ResumeToken::Decode(assembler_.resume_token()), spec_);
    }
  }

  void Drain() {
    int messages = 0;
    while (const auto message = driver_.Next()) {
      Require(++messages < 100, "a stream comes to rest");
      const auto taken = assembler_.Take(*message);
      Require(taken.ok(), "the client can follow the server");
    }
  }

  // Not the server's code: its own selection and its own digest.
  void RequireHeld(const Files& files) {
    Files selected;
    std::vector<char> matched(view_.globs().size());
    for (const auto& [path, bytes] : files) {
      if (view_.Selects(path, &matched)) selected[path] = bytes;
    }
    Require(assembler_.held() != nullptr, "the client has a snapshot");
    const ReceivedSnapshot& held = *assembler_.held();
    Files received;
    for (const ReceivedFile& file : held.files) received[file.path] = *file.content;
    Require(received == selected, "the client holds the files of the newest version");
    // Less than that: what changed was not for this view, and no heartbeat has come since.
    Require(held.header.version() <= published_, "the client knows of no later version");
    Require(held.view_digest == Sha256::Of(Sha256sumText(selected)).Text(),
            "the view digest is what sha256sum says");
  }

  const Story story_;
  const View view_;
  SessionDriver driver_;
  WatchSpec spec_;
  SnapshotAssembler assembler_;
  int64_t published_ = 0;
};

}  // namespace
}  // namespace confstream

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // The fakes speak through EXPECT: libFuzzer hears of a failure as an exception that nobody
  // catches.
  testing::GTEST_FLAG(throw_on_failure) = true;
  const confstream::Story story = confstream::Read(confstream::AsText(data, size));
  if (!confstream::View::Parse(story.globs).ok()) return 0;
  for (const bool every_version : {false, true}) confstream::Delivery(story, every_version).Run();
  return 0;
}
