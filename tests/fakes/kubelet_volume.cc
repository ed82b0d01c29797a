#include "tests/fakes/kubelet_volume.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace confstream {
namespace {

namespace fs = std::filesystem;

void Check(bool ok, const std::string& what) {
  if (!ok) throw std::system_error(errno, std::generic_category(), what);
}

// The files of a timestamped directory with their contents.
KubeletVolume::Payload ReadPayload(const fs::path& timestamped) {
  KubeletVolume::Payload payload;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(timestamped)) {
    if (entry.is_directory()) continue;
    std::ifstream file(entry.path(), std::ios::binary);
    payload[entry.path().lexically_relative(timestamped).string()] =
        std::string(std::istreambuf_iterator<char>(file), {});
  }
  return payload;
}

// The paths of the files and of every directory above them.
std::set<std::string> AllPaths(const KubeletVolume::Payload& payload) {
  std::set<std::string> paths;
  for (const auto& file : payload) {
    for (fs::path p = file.first; !p.empty(); p = p.parent_path()) paths.insert(p.string());
  }
  return paths;
}

void MakeLink(const fs::path& target, const fs::path& link) {
  if (!fs::is_symlink(fs::symlink_status(link))) fs::create_symlink(target, link);
}

}  // namespace

KubeletVolume::KubeletVolume(std::string directory, KubeletVolumeOptions options)
    : directory_(std::move(directory)), options_(std::move(options)) {
  fs::create_directories(directory_);
}

bool KubeletVolume::Swap(const Payload& payload) {
  const std::optional<std::string> old = DataDirectory();
  const Payload old_payload = old ? ReadPayload(*old) : Payload();
  const bool was_written = old || options_.generation == KubeletGeneration::kOldest;
  if (was_written && payload == old_payload) return false;

  const fs::path timestamped = MakeTimestampedDirectory();
  WriteFiles(timestamped, payload);
  if (options_.fs_group) SetFsGroup();
  if (options_.generation == KubeletGeneration::kCurrent) {
    SwapData(timestamped);
    LinkKeys(payload);
  } else {
    LinkKeys(payload);
    SwapData(timestamped);
  }
  UnlinkKeys(AllPaths(old_payload), AllPaths(payload));
  if (old) {
    fs::remove_all(*old);
    Did(KubeletStep::kOldRemoved);
  }
  return true;
}

void KubeletVolume::TearDown() { fs::remove_all(directory_); }

std::optional<std::string> KubeletVolume::DataDirectory() const {
  std::error_code error;
  const fs::path target = fs::read_symlink(fs::path(directory_) / "..data", error);
  if (error) return std::nullopt;
  return absl::StrCat(directory_, "/", target.string());
}

fs::path KubeletVolume::MakeTimestampedDirectory() const {
  std::string path = absl::StrCat(
      directory_, "/",
      absl::FormatTime("..%Y_%m_%d_%H_%M_%S.XXXXXX", absl::Now(), absl::UTCTimeZone()));
  Check(mkdtemp(path.data()) != nullptr, path);
  Check(chmod(path.c_str(), 0755) == 0, path);
  Did(KubeletStep::kDirectoryMade);
  return path;
}

void KubeletVolume::WriteFiles(const fs::path& timestamped, const Payload& payload) const {
  for (const auto& file : payload) {
    const fs::path path = timestamped / file.first;
    fs::create_directories(path.parent_path());
    std::ofstream out(path, std::ios::binary);
    out << file.second;
    out.close();
    Check(!out.fail(), path.string());
    Check(chmod(path.c_str(), options_.file_mode) == 0, path.string());
    Did(KubeletStep::kFileWritten);
  }
}

void KubeletVolume::SetFsGroup() const {
  const auto set = [this](const fs::path& path) {
    struct stat info;
    Check(lstat(path.c_str(), &info) == 0, path.string());
    Check(lchown(path.c_str(), static_cast<uid_t>(-1), *options_.fs_group) == 0, path.string());
    if (S_ISLNK(info.st_mode)) return;
    const mode_t added = S_ISDIR(info.st_mode) ? (S_ISGID | 0770) : 0660;
    Check(chmod(path.c_str(), (info.st_mode & 07777) | added) == 0, path.string());
  };
  set(directory_);
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(directory_)) {
    set(entry.path());
  }
  Did(KubeletStep::kFsGroupSet);
}

void KubeletVolume::SwapData(const fs::path& timestamped) const {
  const fs::path data_tmp = fs::path(directory_) / "..data_tmp";
  fs::create_symlink(timestamped.filename(), data_tmp);
  Did(KubeletStep::kDataTmpLinked);
  fs::rename(data_tmp, fs::path(directory_) / "..data");
  Did(KubeletStep::kDataSwapped);
}

void KubeletVolume::LinkKeys(const Payload& payload) const {
  for (const auto& file : payload) {
    const fs::path path = file.first;
    if (options_.generation == KubeletGeneration::kOldest) {
      fs::path to_data;  // as many .. as the file has directories above it
      for (fs::path p = path.parent_path(); !p.empty(); p = p.parent_path()) to_data /= "..";
      fs::create_directories(fs::path(directory_) / path.parent_path());
      MakeLink(to_data / "..data" / path, fs::path(directory_) / path);
    } else {
      const fs::path key = *path.begin();
      MakeLink("..data" / key, fs::path(directory_) / key);
    }
  }
  Did(KubeletStep::kKeysLinked);
}

void KubeletVolume::UnlinkKeys(const Paths& old_paths, const Paths& new_paths) const {
  // From last to first, so that what a directory holds goes before it.
  for (auto path = old_paths.rbegin(); path != old_paths.rend(); ++path) {
    if (new_paths.count(*path) > 0) continue;
    const bool is_key = path->find('/') == std::string::npos;
    if (is_key || options_.generation == KubeletGeneration::kOldest) {
      fs::remove(fs::path(directory_) / *path);
    }
  }
  Did(KubeletStep::kKeysUnlinked);
}

void KubeletVolume::Did(KubeletStep step) const {
  if (options_.after_step) options_.after_step(step);
}

}  // namespace confstream
