#include "server/validate/validator.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "server/base/text.h"
#include "server/validate/file_violation.h"
#include "server/validate/json_syntax.h"
#include "server/validate/toml_syntax.h"
#include "server/validate/yaml_syntax.h"

namespace confstream {
namespace {

using SyntaxRule = std::optional<Violation> (*)(absl::string_view path, absl::string_view bytes,
                                                const SourceLimits& limits);

// The syntax that a file name's extension promises; null for opaque bytes.
SyntaxRule SyntaxOf(absl::string_view path) {
  const std::string name = absl::AsciiStrToLower(path);
  if (absl::EndsWith(name, ".yaml") || absl::EndsWith(name, ".yml")) return CheckYamlSyntax;
  if (absl::EndsWith(name, ".json")) return CheckJsonSyntax;
  if (absl::EndsWith(name, ".toml")) return CheckTomlSyntax;
  return nullptr;
}

std::optional<Violation> CheckPath(absl::string_view path) {
  if (IsValidUtf8(path) && !HasControlCharacters(path)) return std::nullopt;
  return MakeViolation(path, TextPlace{0, 0}, "path.characters",
                       "the file's name is not UTF-8 or has control characters: rename the file or "
                       "exclude it");
}

std::optional<Violation> CheckText(absl::string_view path, absl::string_view bytes,
                                   const SourceLimits& limits) {
  const SyntaxRule syntax = SyntaxOf(path);
  if (syntax == nullptr) return std::nullopt;
  const size_t invalid = FindInvalidUtf8(bytes);
  if (invalid == absl::string_view::npos) return syntax(path, bytes, limits);
  const auto byte = static_cast<uint8_t>(bytes[invalid]);
  return MakeViolation(path, PlaceOf(bytes, invalid), "text.utf8",
                       absl::StrCat("byte 0x", absl::Hex(byte, absl::kZeroPad2),
                                    " is not UTF-8 here: save the file as UTF-8"));
}

std::vector<Violation> CheckFile(const GenerationFile& file, const SourceLimits& limits) {
  std::vector<Violation> violations;
  if (auto violation = CheckPath(file.path)) violations.push_back(*std::move(violation));
  if (auto violation = CheckText(file.path, file.content->bytes, limits)) {
    violations.push_back(*std::move(violation));
  }
  return violations;
}

}  // namespace

Validator::Verdict Validator::Validate(const Generation& generation) {
  absl::flat_hash_map<std::string, CheckedFile> checked;
  checked.reserve(generation.files.size());
  Verdict verdict;
  for (const GenerationFile& file : generation.files) {
    const auto known = checked_.find(file.path);
    const bool unchanged = known != checked_.end() && known->second.content == file.content;
    CheckedFile result =
        unchanged ? std::move(known->second) : CheckedFile{file.content, CheckFile(file, limits_)};
    verdict.violations.insert(verdict.violations.end(), result.violations.begin(),
                              result.violations.end());
    checked.emplace(file.path, std::move(result));
  }
  checked_ = std::move(checked);
  std::sort(verdict.violations.begin(), verdict.violations.end());
  verdict.total = static_cast<int64_t>(verdict.violations.size());
  if (verdict.violations.size() > kMaxViolations) verdict.violations.resize(kMaxViolations);
  return verdict;
}

}  // namespace confstream
