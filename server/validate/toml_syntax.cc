#include "server/validate/toml_syntax.h"

#include <toml++/toml.h>

#include <algorithm>
#include <cstdint>
#include <exception>
#include <string>
#include <string_view>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/validate/file_violation.h"
#include "server/validate/toml_nesting.h"

namespace confstream {
namespace {

constexpr char kSyntax[] = "toml.syntax";
constexpr char kNesting[] = "toml.nesting";

}  // namespace

std::optional<Violation> CheckTomlSyntax(absl::string_view path, absl::string_view bytes,
                                         const SourceLimits& limits) {
  const absl::string_view text = absl::StartsWith(bytes, "\xef\xbb\xbf") ? bytes.substr(3) : bytes;
  const int64_t max_nesting = std::min(limits.max_nesting, kHighestNesting);
  if (const auto offset = TomlNesting(text).FindDeeperThan(max_nesting)) {
    return MakeViolation(
        path, PlaceOf(text, *offset), kNesting,
        absl::StrCat("nested more than ", max_nesting,
                     " levels deep: flatten the file or raise limits.max_nesting"));
  }
  try {
    static_cast<void>(toml::parse(std::string_view(text.data(), text.size())));
    return std::nullopt;
  } catch (const toml::parse_error& error) {
    const toml::source_position at = error.source().begin;
    return MakeViolation(path, TextPlace{at.line, at.column}, kSyntax,
                         std::string(error.description()));
  } catch (const std::exception& error) {
    return MakeViolation(path, TextPlace{0, 0}, kSyntax,
                         absl::StrCat("the TOML parser gave up: ", error.what()));
  }
}

}  // namespace confstream
