// The server's configuration file: any text is read or refused, and what is read can be printed and
// read again.

#include <string>
#include <utility>

#include "server/config/config_file.h"
#include "server/config/config_merge.h"
#include "server/config/config_printer.h"
#include "tests/fuzz/fuzzing.h"

namespace confstream {
namespace {

constexpr char kSchemas[] = "rules.schemas";

// Without the schemas: their files would be read from this machine.
MergedConfig MergeWithoutSchemas(ConfigLayer layer) {
  layer.source_defaults.erase(kSchemas);
  for (GivenSource& source : layer.sources) source.settings.erase(kSchemas);
  return MergeLayers({std::move(layer)});
}

void ReadValues(const GivenSettings& given) {
  SourceConfig scratch;
  for (const std::string& error : ApplySettings(SourceSettings(), given, &scratch)) {
    RequirePrintable(error);
  }
}

void Run(absl::string_view text) {
  const auto layer = ParseConfigFile(text, "fuzz.yaml", "/directory");
  if (!layer.ok()) {
    RequirePrintable(layer.status().message());
    return;
  }
  ReadValues(layer->source_defaults);
  for (const GivenSource& source : layer->sources) ReadValues(source.settings);
  const MergedConfig merged = MergeWithoutSchemas(*layer);
  for (const std::string& error : merged.errors) RequirePrintable(error);
  if (!merged.errors.empty()) return;

  const auto again =
      ParseConfigFile(PrintConfig(merged.config, merged.origins), "printed.yaml", "/elsewhere");
  Require(again.ok(), "a printed configuration is YAML");
  const MergedConfig reread = MergeWithoutSchemas(*again);
  Require(reread.errors.empty(), "a printed configuration is valid");
  Require(PrintConfig(reread.config, {}) == PrintConfig(merged.config, {}),
          "a printed configuration reads back to the same");
}

}  // namespace
}  // namespace confstream

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  confstream::Run(confstream::AsText(data, size));
  return 0;
}
