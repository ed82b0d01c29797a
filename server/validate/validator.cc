#include "server/validate/validator.h"

#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "server/base/text.h"
#include "server/validate/checksum_manifest.h"
#include "server/validate/document_tree.h"
#include "server/validate/file_syntax.h"
#include "server/validate/file_violation.h"
#include "server/validate/json_schema.h"
#include "server/validate/json_syntax.h"
#include "server/validate/path_rules.h"
#include "server/validate/toml_syntax.h"
#include "server/validate/yaml_syntax.h"

namespace confstream {
namespace {

// What no schema can be asked of.
constexpr char kDataRule[] = "schema.data";

std::optional<Violation> CheckSyntax(absl::string_view path, absl::string_view bytes,
                                     const SourceLimits& limits) {
  switch (SyntaxOf(path)) {
    case FileSyntax::kYaml:
      return CheckYamlSyntax(path, bytes, limits);
    case FileSyntax::kJson:
      return CheckJsonSyntax(path, bytes, limits);
    case FileSyntax::kToml:
      return CheckTomlSyntax(path, bytes, limits);
    case FileSyntax::kOpaque:
      return std::nullopt;
  }
  return std::nullopt;
}

std::optional<Violation> CheckPath(absl::string_view path) {
  if (IsValidUtf8(path) && !HasControlCharacters(path)) return std::nullopt;
  return MakeViolation(path, TextPlace{0, 0}, "path.characters",
                       "the file's name is not UTF-8 or has control characters: rename the file or "
                       "exclude it");
}

std::optional<Violation> CheckText(absl::string_view path, absl::string_view bytes,
                                   const SourceLimits& limits) {
  if (SyntaxOf(path) == FileSyntax::kOpaque) return std::nullopt;
  const size_t invalid = FindInvalidUtf8(bytes);
  if (invalid == absl::string_view::npos) return CheckSyntax(path, bytes, limits);
  const auto byte = static_cast<uint8_t>(bytes[invalid]);
  return MakeViolation(path, PlaceOf(bytes, invalid), "text.utf8",
                       absl::StrCat("byte 0x", absl::Hex(byte, absl::kZeroPad2),
                                    " is not UTF-8 here: save the file as UTF-8"));
}

// The same without what parsers may have quoted.
Violation Redacted(Violation violation) {
  const bool says_bounds =
      absl::EndsWith(violation.rule, ".nesting") || absl::EndsWith(violation.rule, ".aliases");
  if (!says_bounds) {
    violation.message = "the text is not valid here; why is not said of a sensitive source";
  }
  return violation;
}

}  // namespace

Validator::Validator(const SourceConfig& config, std::shared_ptr<const SchemaSet> schemas)
    : limits_(config.limits),
      rules_(config.rules),
      quotes_content_(!config.sensitive),
      schemas_(std::move(schemas)) {}

Validator::Verdict Validator::Validate(const Generation& generation,
                                       const std::vector<Violation>& refused) {
  std::vector<CheckedFile> checked;
  checked.reserve(generation.files.size());
  ViolationList found;
  auto known = checked_.begin();
  for (const GenerationFile& file : generation.files) {
    while (known != checked_.end() && known->path < file.path) ++known;
    if (known != checked_.end() && known->path == file.path && known->content == file.content) {
      checked.push_back(std::move(*known++));
    } else {
      checked.push_back({file.path, file.content, CheckFile(file)});
    }
    found.AddAll(checked.back().found);
  }
  checked_ = std::move(checked);
  if (!refused.empty()) {
    for (const Violation& violation : refused) found.Add(violation);
    return {found.kept(), found.total()};
  }
  CheckPaths(rules_, generation, &found);
  if (!rules_.checksums.empty()) {
    CheckChecksums(rules_.checksums, generation, quotes_content_, &found);
  }
  return {found.kept(), found.total()};
}

ViolationList Validator::CheckFile(const GenerationFile& file) const {
  ViolationList found;
  if (auto violation = CheckPath(file.path)) found.Add(*std::move(violation));
  if (auto violation = CheckText(file.path, file.content->bytes, limits_)) {
    found.Add(quotes_content_ ? *std::move(violation) : Redacted(*std::move(violation)));
  } else {
    CheckSchemas(file, &found);
  }
  return found;
}

void Validator::CheckSchemas(const GenerationFile& file, ViolationList* found) const {
  if (schemas_ == nullptr) return;
  const std::vector<const JsonSchema*> schemas = schemas_->For(file.path);
  if (schemas.empty()) return;
  if (SyntaxOf(file.path) == FileSyntax::kOpaque) {
    found->Add(MakeViolation(file.path, TextPlace{0, 0}, kDataRule,
                             "the file is to match a schema, and its name promises neither YAML "
                             "nor JSON nor TOML: rename it, or narrow the glob of rules.schemas"));
    return;
  }
  const DocumentTree tree = ReadDocumentTree(file.path, file.content->bytes);
  for (const DocumentTree::Problem& problem : tree.problems()) {
    Violation violation = MakeViolation(file.path, problem.place, kDataRule, problem.message);
    found->Add(quotes_content_ ? std::move(violation) : Redacted(std::move(violation)));
  }
  if (!tree.problems().empty()) return;
  for (const JsonSchema* schema : schemas) {
    schema->Check(file.path, tree, quotes_content_, found);
  }
}

}  // namespace confstream
