// The table of the settings of a source.

#include <cstdint>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "server/base/text.h"
#include "server/config/setting.h"
#include "server/config/setting_kinds.h"
#include "server/validate/file_violation.h"

namespace confstream {
namespace {

Setting<SourceConfig> Globs(std::string key, Field<SourceConfig, std::vector<PathGlob>> field,
                            std::string help) {
  return MakeList<SourceConfig, PathGlob>(
      std::move(key), "GLOBS", "any number", field,
      [](const SettingText& given) -> absl::StatusOr<PathGlob> {
        absl::StatusOr<PathGlob> glob = PathGlob::Parse(given.text);
        if (glob.ok()) return glob;
        return absl::InvalidArgumentError(
            absl::StrCat("cannot be used: ", glob.status().message()));
      },
      [](const PathGlob& glob) { return glob.pattern(); }, std::move(help));
}

Setting<SourceConfig> LinkRoots() {
  return MakeList<SourceConfig, std::string>(
      "link_roots", "PATHS", "any number", [](SourceConfig & c) -> auto& { return c.link_roots; },
      [](const SettingText& given) { return ParsePathSetting(given.text, given.directory); },
      [](const std::string& path) { return path; },
      "Directories that links inside the source may lead into, besides the source itself.");
}

// The path of a file inside a source, as the source lists it.
absl::StatusOr<std::string> ParseRelativePath(const SettingText& given) {
  bool plain = IsValidUtf8(given.text) && !HasControlCharacters(given.text);
  for (const absl::string_view component : absl::StrSplit(given.text, '/')) {
    plain = plain && !component.empty() && component != "." && component != "..";
  }
  if (plain) return given.text;
  return absl::InvalidArgumentError(
      "is not the path of a file inside the source: write one such as SHA256SUMS or "
      "sub/SHA256SUMS");
}

// GLOB=SCHEMA_FILE. A `=` of the glob is written as `\=`.
absl::StatusOr<SchemaRule> ParseSchemaRule(const SettingText& given) {
  size_t equals = 0;
  while (equals < given.text.size() && given.text[equals] != '=') {
    equals += given.text[equals] == '\\' ? 2 : 1;
  }
  if (equals >= given.text.size()) {
    return absl::InvalidArgumentError("has no `=`: write GLOB=SCHEMA_FILE");
  }
  absl::StatusOr<PathGlob> glob = PathGlob::Parse(given.text.substr(0, equals));
  if (!glob.ok()) {
    return absl::InvalidArgumentError(absl::StrCat("cannot be used: ", glob.status().message()));
  }
  absl::StatusOr<std::string> path =
      ParsePathSetting(given.text.substr(equals + 1), given.directory);
  if (!path.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("has a schema file whose path ", path.status().message()));
  }
  return SchemaRule{*std::move(glob), *std::move(path)};
}

Setting<SourceConfig> Schemas() {
  return MakeList<SourceConfig, SchemaRule>(
      "rules.schemas", "GLOB=FILE", "any number",
      [](SourceConfig & c) -> auto& { return c.rules.schemas; }, ParseSchemaRule,
      [](const SchemaRule& rule) {
        return absl::StrCat(rule.glob.pattern(), "=", rule.schema_file);
      },
      "GLOB=SCHEMA_FILE: YAML, JSON and TOML files that the glob matches are as the JSON Schema "
      "says.");
}

}  // namespace

std::vector<Setting<SourceConfig>> SourceSettings() {
  using Config = SourceConfig;
  return {
      MakeDuration<Config>(
          "settle", [](Config & c) -> auto& { return c.settle; }, absl::Milliseconds(1),
          absl::Hours(1),
          "How long files must be quiet before a change without a commit point is read."),
      MakeDuration<Config>(
          "max_delay", [](Config & c) -> auto& { return c.max_delay; }, absl::Milliseconds(1),
          absl::Hours(1),
          "The longest time after the first change to wait for quiet; at least settle."),
      MakeDuration<Config>(
          "rescan_interval", [](Config & c) -> auto& { return c.rescan_interval; },
          absl::Seconds(1), absl::Hours(24),
          "How often the source is read again without any event."),
      MakeSwitch<Config>(
          "always_poll", [](Config & c) -> auto& { return c.always_poll; },
          "The source is polled even where the kernel would tell of changes."),
      MakeDuration<Config>(
          "poll_interval", [](Config & c) -> auto& { return c.poll_interval; },
          absl::Milliseconds(100), absl::Hours(1),
          "How often a source is looked at whose changes the kernel does not tell of."),
      MakeDuration<Config>(
          "read_timeout", [](Config & c) -> auto& { return c.read_timeout; },
          absl::Milliseconds(100), absl::Hours(1),
          "A source whose reading takes longer than this is STALLED."),
      Globs(
          "include", [](Config & c) -> auto& { return c.include; },
          "Only files whose relative path one of these globs matches; empty: all."),
      Globs(
          "exclude", [](Config & c) -> auto& { return c.exclude; },
          "No files whose relative path one of these globs matches."),
      LinkRoots(),
      MakeSwitch<Config>(
          "required", [](Config & c) -> auto& { return c.required; },
          "The health of the service waits for this source."),
      MakeSwitch<Config>(
          "allow_empty", [](Config & c) -> auto& { return c.allow_empty; },
          "A plain directory without files is published, as an empty snapshot."),
      MakeSwitch<Config>(
          "sensitive", [](Config & c) -> auto& { return c.sensitive; },
          "Content and digests never touch disk or log; GetSnapshot serves the current version "
          "only."),
      Globs(
          "rules.required", [](Config & c) -> auto& { return c.rules.required; },
          "Each of these globs matches a file at least."),
      Globs(
          "rules.forbidden", [](Config & c) -> auto& { return c.rules.forbidden; },
          "No file is matched by one of these globs."),
      MakeText<Config>(
          "rules.checksums", "PATH", "a path in the source, or nothing",
          [](Config & c) -> auto& { return c.rules.checksums; }, ParseRelativePath,
          "All other files are listed in this file of the source, as sha256sum writes it."),
      Schemas(),
      MakeCount<Config, int64_t>(
          "history.max_versions", [](Config & c) -> auto& { return c.retention.max_versions; }, 1,
          1000000, "Versions kept, the newest included."),
      MakeDuration<Config>(
          "history.max_age", [](Config & c) -> auto& { return c.retention.max_age; },
          absl::Seconds(1), absl::Hours(24 * 3650),
          "How long a version is kept after a newer one has replaced it."),
      MakeSize<Config>(
          "history.max_size", [](Config & c) -> auto& { return c.retention.max_bytes; }, 0,
          int64_t{64} << 30,
          "Contents kept that the newest version does not have, in memory and on disk."),
      MakeSize<Config>(
          "limits.max_file_size", [](Config & c) -> auto& { return c.limits.max_file_bytes; }, 1,
          int64_t{4} << 30, "The largest file."),
      MakeSize<Config>(
          "limits.max_total_size", [](Config & c) -> auto& { return c.limits.max_total_bytes; }, 1,
          int64_t{64} << 30, "All files together."),
      MakeCount<Config, int64_t>(
          "limits.max_files", [](Config & c) -> auto& { return c.limits.max_files; }, 1, 1000000,
          "Files of the source."),
      MakeCount<Config, int>(
          "limits.max_depth", [](Config & c) -> auto& { return c.limits.max_depth; }, 0, 256,
          "Directories below one another; 0: no directories in the source."),
      MakeCount<Config, int>(
          "limits.max_nesting", [](Config & c) -> auto& { return c.limits.max_nesting; }, 1,
          kHighestNesting,
          "Mappings and sequences inside one another in a YAML, JSON or TOML file."),
      MakeCount<Config, int64_t>(
          "limits.max_alias_nodes", [](Config & c) -> auto& { return c.limits.max_alias_nodes; }, 0,
          1000000000, "Nodes that the aliases of a YAML file may stand for; 0: no aliases."),
  };
}

}  // namespace confstream
