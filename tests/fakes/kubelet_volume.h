// A ConfigMap volume as kubelet writes it, for tests.

#ifndef CONFSTREAM_TESTS_FAKES_KUBELET_VOLUME_H_
#define CONFSTREAM_TESTS_FAKES_KUBELET_VOLUME_H_

#include <sys/types.h>

#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>

namespace confstream {

// Which generation of kubelet's atomic writer is imitated.
enum class KubeletGeneration {
  kCurrent,  // `..data` is swapped first, then the links of new keys are made
  kOlder,    // the links of new keys are made first: they dangle until the swap
  kOldest,  // as kOlder, with real sub-directories and a link for every file in them; a volume that
            // was always empty has no `..data`
};

// What Swap has just done.
enum class KubeletStep {
  kDirectoryMade,  // the new timestamped directory, empty
  kFileWritten,    // one file in it; comes once for each
  kFsGroupSet,     // comes only with KubeletVolumeOptions::fs_group
  kDataTmpLinked,  // `..data_tmp` leads to the new directory
  kDataSwapped,    // `..data_tmp` was renamed to `..data`: the commit point
  kKeysLinked,     // links of new top-level keys
  kKeysUnlinked,   // links of removed top-level keys are gone
  kOldRemoved,     // the old timestamped directory is gone; does not come with the first Swap
};

struct KubeletVolumeOptions {
  KubeletGeneration generation = KubeletGeneration::kCurrent;
  mode_t file_mode = 0644;        // of the files that are written from now on
  std::optional<gid_t> fs_group;  // chown and chmod over the whole volume before each swap
  // Called after each step, in the thread that called Swap: to look at, or to disturb, what an
  // observer would meet at that moment.
  std::function<void(KubeletStep)> after_step;
};

// Writes a volume step by step as kubelet does: key -> ..data/key, ..data ->
// ..<timestamp>.<random>, real files in there. Secret, projected and downward API volumes look the
// same. Thread-compatible. Whatever the file system refuses is thrown as std::system_error.
class KubeletVolume {
 public:
  using Payload = std::map<std::string, std::string>;  // relative path -> content

  // The volume's directory is made if it is missing. Until the first Swap it stays as it is.
  explicit KubeletVolume(std::string directory, KubeletVolumeOptions options = {});

  // Replaces everything by `payload`, atomically. An empty payload is what kubelet writes for an
  // optional ConfigMap that does not exist. Returns false, having done nothing, if the volume holds
  // just that already; file modes do not count.
  bool Swap(const Payload& payload);

  // Removes everything, the volume's directory included, as kubelet does when it could not write.
  void TearDown();

  const std::string& path() const { return directory_; }

  // What Swap follows from now on.
  KubeletVolumeOptions& options() { return options_; }

  // The timestamped directory that `..data` leads to; nullopt if there is no `..data`.
  std::optional<std::string> DataDirectory() const;

 private:
  using Paths = std::set<std::string>;

  std::filesystem::path MakeTimestampedDirectory() const;
  void WriteFiles(const std::filesystem::path& timestamped, const Payload& payload) const;
  void SetFsGroup() const;
  void SwapData(const std::filesystem::path& timestamped) const;
  void LinkKeys(const Payload& payload) const;
  void UnlinkKeys(const Paths& old_paths, const Paths& new_paths) const;
  void Did(KubeletStep step) const;

  const std::string directory_;
  KubeletVolumeOptions options_;
};

}  // namespace confstream

#endif  // CONFSTREAM_TESTS_FAKES_KUBELET_VOLUME_H_
