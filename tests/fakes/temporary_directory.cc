#include "tests/fakes/temporary_directory.h"

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"

namespace confstream {
namespace {

namespace fs = std::filesystem;

void MakeWritable(const fs::path& directory) {
  std::error_code ignored;
  fs::permissions(directory, fs::perms::owner_all, fs::perm_options::add, ignored);
  for (const fs::directory_entry& entry : fs::directory_iterator(directory, ignored)) {
    if (entry.symlink_status(ignored).type() == fs::file_type::directory) {
      MakeWritable(entry.path());
    }
  }
}

}  // namespace

TemporaryDirectory::TemporaryDirectory() {
  const char* parent = std::getenv("TMPDIR");
  if (parent == nullptr || *parent == '\0') parent = "/tmp";
  path_ = (fs::canonical(parent) / "confstream_test.XXXXXX").string();
  if (mkdtemp(path_.data()) == nullptr) {
    throw std::system_error(errno, std::generic_category(), "mkdtemp " + path_);
  }
}

TemporaryDirectory::~TemporaryDirectory() {
  std::error_code error;
  fs::remove_all(path_, error);
  if (!error) return;
  MakeWritable(path_);
  fs::remove_all(path_, error);
}

std::string TemporaryDirectory::Path(absl::string_view relative) const {
  return absl::StrCat(path_, "/", relative);
}

}  // namespace confstream
