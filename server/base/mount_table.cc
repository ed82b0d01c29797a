#include "server/base/mount_table.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace confstream {
namespace {

// Local disks and memory. A network or user-space file system is on no such list, nor is one that
// nobody has heard of: both are polled.
constexpr absl::string_view kLocalTypes[] = {
    "bcachefs", "btrfs",    "devtmpfs", "erofs",  "exfat",   "ext2",  "ext3",
    "ext4",     "f2fs",     "jfs",      "nilfs2", "overlay", "ramfs", "reiserfs",
    "rootfs",   "squashfs", "tmpfs",    "vfat",   "xfs",     "zfs",
};

bool IsOctal(char c) { return c >= '0' && c <= '7'; }

// Space, tab, newline and backslash are written as three octal digits.
std::string Unescape(absl::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size() && IsOctal(text[i + 1]) && IsOctal(text[i + 2]) &&
        IsOctal(text[i + 3])) {
      out.push_back(static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 +
                                      (text[i + 3] - '0')));
      i += 3;
    } else {
      out.push_back(text[i]);
    }
  }
  return out;
}

}  // namespace

bool IsWithin(absl::string_view path, absl::string_view directory) {
  if (directory == "/") return true;
  return absl::ConsumePrefix(&path, directory) && (path.empty() || path.front() == '/');
}

bool Mount::root_deleted() const { return absl::EndsWith(root, "//deleted"); }

bool Mount::root_in_generation() const {
  // kubelet names generations `..2026_01_31_10_00_00.1234567890`
  // (pkg/volume/util/atomic_writer.go).
  for (const absl::string_view component : absl::StrSplit(root, '/')) {
    if (absl::StartsWith(component, "..") && component.size() > 2 &&
        absl::ascii_isdigit(static_cast<unsigned char>(component[2]))) {
      return true;
    }
  }
  return false;
}

bool Mount::is_local() const {
  return std::find(std::begin(kLocalTypes), std::end(kLocalTypes), type) != std::end(kLocalTypes);
}

MountTable MountTable::Parse(absl::string_view mountinfo) {
  MountTable table;
  for (const absl::string_view line : absl::StrSplit(mountinfo, '\n', absl::SkipEmpty())) {
    // 36 35 98:0 /root /point rw,noatime shared:1 - ext4 /dev/root rw
    const std::vector<absl::string_view> fields = absl::StrSplit(line, ' ');
    const auto separator = std::find(fields.begin(), fields.end(), "-");
    Mount mount;
    if (separator - fields.begin() < 6 || fields.end() - separator < 2 ||
        !absl::SimpleAtoi(fields[0], &mount.id)) {
      continue;
    }
    mount.root = Unescape(fields[3]);
    mount.point = Unescape(fields[4]);
    mount.type = std::string(*(separator + 1));
    table.mounts_.push_back(std::move(mount));
  }
  return table;
}

const Mount* MountTable::FindById(int64_t id) const {
  const auto found = std::find_if(mounts_.begin(), mounts_.end(),
                                  [id](const Mount& mount) { return mount.id == id; });
  return found == mounts_.end() ? nullptr : &*found;
}

std::vector<Mount> MountTable::OnTheWay(absl::string_view path) const {
  std::vector<Mount> found;
  for (const Mount& mount : mounts_) {
    if (IsWithin(path, mount.point)) found.push_back(mount);
  }
  return found;
}

std::vector<Mount> MountTable::Below(absl::string_view path) const {
  std::vector<Mount> found;
  for (const Mount& mount : mounts_) {
    if (mount.point != path && IsWithin(mount.point, path)) found.push_back(mount);
  }
  return found;
}

}  // namespace confstream
