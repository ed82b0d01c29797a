#include "server/validate/checksum_manifest.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <set>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "server/validate/file_violation.h"

namespace confstream {
namespace {

constexpr size_t kDigits = 64;

// A line of a manifest.
struct Entry {
  std::string path;
  std::string digest;  // as Sha256::Hex()
};

// A name as sha256sum escapes it; nothing if it does not.
std::optional<std::string> Unescaped(absl::string_view name) {
  std::string out;
  for (size_t i = 0; i < name.size(); ++i) {
    if (name[i] != '\\') {
      out += name[i];
      continue;
    }
    if (++i == name.size()) return std::nullopt;
    if (name[i] == 'n') {
      out += '\n';
    } else if (name[i] == 'r') {
      out += '\r';
    } else if (name[i] == '\\') {
      out += '\\';
    } else {
      return std::nullopt;
    }
  }
  return out;
}

// Nothing: the line is none of a manifest.
std::optional<Entry> ReadLine(absl::string_view line) {
  const bool escaped = absl::ConsumePrefix(&line, "\\");
  if (line.size() < kDigits + 3) return std::nullopt;
  Entry entry;
  entry.digest = absl::AsciiStrToLower(line.substr(0, kDigits));
  if (!std::all_of(entry.digest.begin(), entry.digest.end(), absl::ascii_isxdigit)) {
    return std::nullopt;
  }
  line.remove_prefix(kDigits);
  // Text mode, or binary mode: for the digest it makes no difference.
  if (!absl::ConsumePrefix(&line, "  ") && !absl::ConsumePrefix(&line, " *")) return std::nullopt;
  absl::ConsumePrefix(&line, "./");  // as `find . -type f -exec sha256sum {} +` writes it
  if (!escaped) {
    entry.path = std::string(line);
    return entry;
  }
  std::optional<std::string> name = Unescaped(line);
  if (!name.has_value()) return std::nullopt;
  entry.path = *std::move(name);
  return entry;
}

class Manifest {
 public:
  Manifest(const std::string& path, const Generation& generation, bool quotes_content,
           ViolationList* found)
      : path_(path), generation_(generation), quotes_content_(quotes_content), found_(found) {}

  void Check() {
    const GenerationFile* manifest = Find(path_);
    if (manifest == nullptr) {
      Add(path_, 0, "checksums.manifest",
          "the source has no such file, which should list its files' checksums: add it, or take "
          "rules.checksums out of the configuration");
      return;
    }
    int64_t number = 0;
    absl::string_view rest = manifest->content->bytes;
    while (!rest.empty()) {
      const size_t end = std::min(rest.find('\n'), rest.size());
      CheckLine(absl::StripSuffix(rest.substr(0, end), "\r"), ++number);
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    for (const GenerationFile& file : generation_.files) {
      if (file.path == path_ || listed_.count(file.path) > 0) continue;
      Add(file.path, 0, "checksums.unlisted",
          absl::StrCat("the file is not listed in ", path_, ": add its line, or exclude it"));
    }
  }

 private:
  const GenerationFile* Find(absl::string_view path) const {
    const auto found = std::lower_bound(
        generation_.files.begin(), generation_.files.end(), path,
        [](const GenerationFile& file, absl::string_view wanted) { return file.path < wanted; });
    return found != generation_.files.end() && found->path == path ? &*found : nullptr;
  }

  void CheckLine(absl::string_view line, int64_t number) {
    if (line.empty()) return;
    std::optional<Entry> entry = ReadLine(line);
    if (!entry.has_value()) {
      Add(path_, number, "checksums.manifest",
          "this is no line of sha256sum: write 64 hex digits, two spaces, and a path");
      return;
    }
    const std::string named =
        quotes_content_ ? absl::StrCat("the file ", entry->path) : "the file of this line";
    if (entry->path == path_) {
      Add(path_, number, "checksums.manifest",
          "the manifest lists itself, and no file can have its own digest: take this line out");
      return;
    }
    if (!listed_.insert(entry->path).second) {
      Add(path_, number, "checksums.manifest",
          absl::StrCat(named, " is listed already: keep one of the lines"));
      return;
    }
    const GenerationFile* file = Find(entry->path);
    if (file == nullptr) {
      Add(path_, number, "checksums.missing",
          absl::StrCat(named,
                       " is listed, and not part of the source: add it, or take the line out"));
    } else if (file->content->digest.Hex() != entry->digest) {
      Add(path_, number, "checksums.mismatch",
          absl::StrCat(named, " has another digest: restore it, or list it anew with sha256sum"));
    }
  }

  void Add(absl::string_view path, int64_t line, absl::string_view rule,
           absl::string_view message) {
    found_->Add(MakeViolation(path, TextPlace{line, line == 0 ? 0 : 1}, rule, message));
  }

  const std::string& path_;
  const Generation& generation_;
  const bool quotes_content_;
  ViolationList* const found_;
  std::set<std::string> listed_;
};

}  // namespace

void CheckChecksums(const std::string& manifest, const Generation& generation, bool quotes_content,
                    ViolationList* found) {
  Manifest(manifest, generation, quotes_content, found).Check();
}

}  // namespace confstream
