// Sources, and what happens to their files in the course of a test of faults.

#ifndef CONFSTREAM_TESTS_FAULTS_SCENARIOS_H_
#define CONFSTREAM_TESTS_FAULTS_SCENARIOS_H_

#include <filesystem>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "server/snapshot/source_config.h"
#include "tests/fakes/files.h"
#include "tests/fakes/kubelet_volume.h"
#include "tests/fakes/snapshots.h"
#include "tests/fakes/temporary_directory.h"

namespace confstream {

// Files that carry one number; one of them is longer than that of the number before.
inline Files Numbered(int number) {
  const std::string text = absl::StrCat("number: ", number, "\n");
  return {{"a.yaml", text}, {"b.yaml", text + std::string(number, '#')}, {"sub/c", text}};
}

inline void WriteAll(const std::string& directory, const Files& files) {
  for (const auto& [path, content] : files) WriteFile(absl::StrCat(directory, "/", path), content);
}

// A source in a directory of its own, and what happens to it.
class Scenario {
 public:
  virtual ~Scenario() = default;
  // How many contents there are; the first is there before the source is watched.
  static constexpr int kContents = 6;
  // Makes the files be the `number`th content, from 1, and returns it.
  virtual Files Make(int number) = 0;

  SourceConfig Config() const {
    SourceConfig config;
    config.name = "app";
    config.path = directory_.Path("base/current");
    config.rescan_interval = absl::Hours(1);
    return config;
  }

  // Waits until the kernel's clock stamps differently: changes within one tick, some milliseconds,
  // look the same to whoever has no events to go by.
  void AwaitTick() {
    const auto stamp = [this] {
      WriteFile(Path("tick"), "");
      return std::filesystem::last_write_time(Path("tick"));
    };
    const auto before = stamp();
    while (stamp() == before) {
    }
  }

  // Takes a file that all contents have away for a moment.
  void TakeAway() { std::filesystem::rename(Path("base/current/sub/c"), Path("aside")); }
  void PutBack() { std::filesystem::rename(Path("aside"), Path("base/current/sub/c")); }

 protected:
  std::string Path(const std::string& relative) const { return directory_.Path(relative); }

  TemporaryDirectory directory_;
};

// A link to a Kubernetes volume: swapped, written to in place, retargeted, an ancestor replaced.
class VolumeScenario final : public Scenario {
 public:
  Files Make(int number) override {
    const Files files = Numbered(number);
    switch (number) {
      case 1:
        KubeletVolume(Path("base/one")).Swap(files);
        std::filesystem::create_symlink("one", Path("base/current"));
        break;
      case 2:
        KubeletVolume(Path("base/one")).Swap(files);
        break;
      case 3:
        WriteAll(Path("base/one/..data"), files);
        break;
      case 4:
        KubeletVolume(Path("base/two")).Swap(files);
        SwapLink("two", Path("base/current"));
        break;
      case 5:
        KubeletVolume(Path("base/two")).Swap(files);
        break;
      default:
        KubeletVolume(Path("next/current")).Swap(files);
        std::filesystem::rename(Path("base"), Path("old"));
        std::filesystem::rename(Path("next"), Path("base"));
    }
    return files;
  }
};

// A link to a plain directory: written to in place, with directories and files that come and go,
// retargeted atomically and by `ln -sfn`.
class PlainScenario final : public Scenario {
 public:
  Files Make(int number) override {
    Files files = Numbered(number);
    switch (number) {
      case 1:
        WriteAll(Path("base/one"), files);
        std::filesystem::create_symlink("one", Path("base/current"));
        break;
      case 2:
        WriteAll(Path("base/one"), files);
        break;
      case 3:
        files["new/deep/d"] = files["sub/c"];
        files.erase("b.yaml");
        WriteAll(Path("base/one"), files);
        std::filesystem::remove(Path("base/one/b.yaml"));
        break;
      case 4:
        WriteAll(Path("base/two"), files);
        SwapLink("two", Path("base/current"));
        break;
      case 5:
        WriteAll(Path("base/three"), files);
        MakeLink("three", Path("base/current"));
        break;
      default:
        WriteAll(Path("new"), files);
        for (const char* name : {"a.yaml", "b.yaml", "sub/c"}) {
          std::filesystem::rename(Path(absl::StrCat("new/", name)),
                                  Path(absl::StrCat("base/three/", name)));
        }
    }
    return files;
  }
};

}  // namespace confstream

#endif  // CONFSTREAM_TESTS_FAULTS_SCENARIOS_H_
