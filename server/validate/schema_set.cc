#include "server/validate/schema_set.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/base/text.h"

namespace confstream {
namespace {

// Stands for the file that `path` leads to, links followed.
UniqueFd OpenPath(const std::string& path) {
  return UniqueFd(open(path.c_str(), O_PATH | O_CLOEXEC));
}

std::optional<FileStat> StatOf(const std::string& path) {
  const UniqueFd file = OpenPath(path);
  if (file.get() < 0) return std::nullopt;
  const auto stat = PosixFileSystem().Stat(file.get());
  return stat.ok() ? std::optional<FileStat>(*stat) : std::nullopt;
}

absl::Status Unreadable(const std::string& path, absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat("cannot read the schema file ",
                                                 EscapeForDisplay(path), ": ", why,
                                                 ": create it, or correct rules.schemas"));
}

// Reads the file that `fd` stands for, and was found to be like `stat`.
absl::StatusOr<std::string> ReadWhole(const std::string& path, int fd, const FileStat& stat) {
  if (stat.kind != FileKind::kRegular) return Unreadable(path, "it is no file");
  PosixFileSystem file_system;
  const auto file = file_system.OpenForReading(fd);
  if (!file.ok()) return Unreadable(path, file.status().message());
  std::string text(SchemaSet::kMaxFileBytes + 1, '\0');
  size_t have = 0;
  while (have < text.size()) {
    const auto got = file_system.ReadAt(file->get(), text.data() + have, text.size() - have,
                                        static_cast<int64_t>(have));
    if (!got.ok()) return Unreadable(path, got.status().message());
    if (*got == 0) break;
    have += *got;
  }
  if (have > SchemaSet::kMaxFileBytes) {
    return Unreadable(path, absl::StrCat("it has more than ", SchemaSet::kMaxFileBytes, " bytes"));
  }
  text.resize(have);
  return text;
}

}  // namespace

absl::StatusOr<SchemaSet::File> SchemaSet::LoadFile(const std::string& path) {
  const UniqueFd fd = OpenPath(path);
  if (fd.get() < 0) return Unreadable(path, std::strerror(errno));
  // Before it is read: what is written later is news then.
  const auto stat = PosixFileSystem().Stat(fd.get());
  if (!stat.ok()) return Unreadable(path, stat.status().message());
  const auto text = ReadWhole(path, fd.get(), *stat);
  if (!text.ok()) return text.status();
  auto schema = JsonSchema::Parse(path, *text);
  if (!schema.ok()) return schema.status();
  return File{path, *stat, *std::move(schema)};
}

absl::StatusOr<std::shared_ptr<const SchemaSet>> SchemaSet::Load(const SourceRules& rules) {
  std::shared_ptr<SchemaSet> set(new SchemaSet());
  std::vector<std::string> refused;  // paths
  std::vector<std::string> errors;
  for (const SchemaRule& rule : rules.schemas) {
    const auto same = [&](const File& file) { return file.path == rule.schema_file; };
    const auto known = std::find_if(set->files_.begin(), set->files_.end(), same);
    set->rules_.push_back({rule.glob, static_cast<size_t>(known - set->files_.begin())});
    if (known != set->files_.end() ||
        std::find(refused.begin(), refused.end(), rule.schema_file) != refused.end()) {
      continue;
    }
    auto file = LoadFile(rule.schema_file);
    if (file.ok()) {
      set->files_.push_back(*std::move(file));
    } else {
      refused.push_back(rule.schema_file);
      errors.emplace_back(file.status().message());
    }
  }
  if (!errors.empty()) return absl::InvalidArgumentError(absl::StrJoin(errors, "\n"));
  return std::shared_ptr<const SchemaSet>(std::move(set));
}

bool SchemaSet::IsCurrent() const {
  return std::all_of(files_.begin(), files_.end(),
                     [](const File& file) { return StatOf(file.path) == file.stat; });
}

std::shared_ptr<const SchemaSet> SchemaSet::AsOfNow() const {
  std::shared_ptr<SchemaSet> now(new SchemaSet(*this));
  for (File& file : now->files_) file.stat = StatOf(file.path);
  return now;
}

std::vector<const JsonSchema*> SchemaSet::For(absl::string_view path) const {
  std::vector<const JsonSchema*> schemas;
  for (const Rule& rule : rules_) {
    if (rule.glob.Matches(path)) schemas.push_back(files_[rule.file].schema.get());
  }
  return schemas;
}

}  // namespace confstream
