// A schema file, in JSON or YAML: it is refused with its places, or checks any document in bounded
// time.

#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "server/validate/json_schema.h"
#include "tests/fuzz/document_fuzzing.h"
#include "tests/fuzz/fuzzing.h"

namespace confstream {
namespace {

struct Document {
  std::string path;
  std::string bytes;
};

const std::vector<Document>& Documents() {
  static const auto* const documents = new std::vector<Document>{
      {"a.json",
       R"({"name": "x", "port": 80, "list": [1, 2.5, "a", null, {"b": [true]}], "": {}})"},
      {"b.yaml", "base: &base {a: 1, b: [x, y]}\nuse: [*base, *base]\ndeep: {{{deep: [[[1]]]}}}\n"},
      {"c.toml", "title = 'é'\n[owner]\ndob = 1979-05-27T07:32:00Z\n[[a.b]]\nc = inf\n"},
      {"d.json", "[1, 1, \"ab\", \"ab\", [], {}, 0.1, -5, 1e300]"},
  };
  return *documents;
}

const std::vector<DocumentTree>& Trees() {
  static const auto* const trees = [] {
    auto* const read = new std::vector<DocumentTree>;
    for (const Document& document : Documents()) {
      read->push_back(ReadDocumentTree(document.path, document.bytes));
    }
    return read;
  }();
  return *trees;
}

void Run(absl::string_view text) {
  const std::string path = absl::StartsWith(text, "{") ? "s.json" : "s.yaml";
  const auto schema = JsonSchema::Parse(path, text);
  if (!schema.ok()) {
    for (const absl::string_view line : absl::StrSplit(schema.status().message(), '\n')) {
      RequirePrintable(line);
      Require(absl::StartsWith(line, path + ":"), "every mistake has its place");
    }
    return;
  }
  for (size_t i = 0; i < Documents().size(); ++i) {
    const Document& document = Documents()[i];
    ViolationList found;
    (*schema)->Check(document.path, Trees()[i], true, &found);
    for (const Violation& violation : found.kept()) RequireWithin(document.bytes, violation);
  }
}

}  // namespace
}  // namespace confstream

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  confstream::Run(confstream::AsText(data, size));
  return 0;
}
