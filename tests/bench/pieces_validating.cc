// What validation takes: syntax alone, and a JSON Schema besides.

#include <benchmark/benchmark.h>

#include <array>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "server/base/path_glob.h"
#include "server/snapshot/source_config.h"
#include "server/validate/schema_set.h"
#include "server/validate/validator.h"
#include "tests/fakes/files.h"
#include "tests/fakes/snapshots.h"
#include "tests/fakes/temporary_directory.h"

namespace confstream {
namespace {

constexpr int kServices = 500;  // about 40 KB of text

constexpr char kSchema[] = R"({
  "type": "object",
  "required": ["services"],
  "properties": {"services": {"type": "array", "items": {
    "type": "object",
    "required": ["name", "replicas"],
    "additionalProperties": false,
    "properties": {
      "name": {"type": "string", "pattern": "^[a-z][a-z0-9-]*$"},
      "replicas": {"type": "integer", "minimum": 1, "maximum": 100},
      "enabled": {"type": "boolean"},
      "ports": {"type": "array", "items": {"type": "integer"}, "maxItems": 8}}}}}})";

std::string Yaml() {
  std::string text = "services:\n";
  for (int i = 0; i < kServices; ++i) {
    absl::StrAppend(&text, "  - name: service-", i, "\n    replicas: ", 1 + i % 9,
                    "\n    enabled: true\n    ports: [8080, 9090]\n");
  }
  return text;
}

std::string Json() {
  std::string text = "{\"services\": [";
  for (int i = 0; i < kServices; ++i) {
    absl::StrAppend(&text, i == 0 ? "\n" : ",\n", "  {\"name\": \"service-", i,
                    "\", \"replicas\": ", 1 + i % 9,
                    ", \"enabled\": true, \"ports\": [8080, 9090]}");
  }
  return text + "]}\n";
}

std::string Toml() {
  std::string text;
  for (int i = 0; i < kServices; ++i) {
    absl::StrAppend(&text, "[[services]]\nname = \"service-", i, "\"\nreplicas = ", 1 + i % 9,
                    "\nenabled = true\nports = [8080, 9090]\n\n");
  }
  return text;
}

void Validate(benchmark::State& state, const std::string& path, const std::string& text,
              const std::string& schema) {
  SourceConfig config;
  std::shared_ptr<const SchemaSet> schemas;
  const TemporaryDirectory directory;
  if (!schema.empty()) {
    WriteFile(directory.Path("schema.json"), schema);
    config.rules.schemas.push_back({*PathGlob::Parse(path), directory.Path("schema.json")});
    schemas = *SchemaSet::Load(config.rules);
  }
  Validator validator(config, schemas);
  // In turn, since a file is not checked again while its content stays the same object.
  const std::array<Generation, 2> generations = {MakeGeneration({{path, text}}),
                                                 MakeGeneration({{path, text + "\n"}})};
  size_t turn = 0;
  for (auto _ : state) {
    const Validator::Verdict verdict = validator.Validate(generations[turn++ % 2]);
    if (!verdict.ok()) return state.SkipWithError(verdict.violations[0].message.c_str());
  }
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(text.size()));
}
BENCHMARK_CAPTURE(Validate, yaml, "services.yaml", Yaml(), "")->Name("validate: YAML");
BENCHMARK_CAPTURE(Validate, json, "services.json", Json(), "")->Name("validate: JSON");
BENCHMARK_CAPTURE(Validate, toml, "services.toml", Toml(), "")->Name("validate: TOML");
BENCHMARK_CAPTURE(Validate, yaml_schema, "services.yaml", Yaml(), kSchema)
    ->Name("validate: YAML and a JSON Schema");
BENCHMARK_CAPTURE(Validate, json_schema, "services.json", Json(), kSchema)
    ->Name("validate: JSON and a JSON Schema");

}  // namespace
}  // namespace confstream
