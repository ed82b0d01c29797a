// A JSON Schema, ready to check files with.

#ifndef CONFSTREAM_SERVER_VALIDATE_JSON_SCHEMA_H_
#define CONFSTREAM_SERVER_VALIDATE_JSON_SCHEMA_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/validate/document_tree.h"
#include "server/validate/pattern_set.h"
#include "server/validate/violation_list.h"

namespace valijson {
class Schema;
}

namespace confstream {

// A schema of draft 7 (drafts 6 and 7 share all that is known here), read by valijson. Immutable,
// so thread-safe.
class JsonSchema {
 public:
  // Reads the text of the schema file at `path`, which is YAML if it is called so, else JSON.
  // INVALID_ARGUMENT: it is no schema, uses what draft 7 does not have, a pattern that RE2 cannot
  // read, or a `$ref` to anything but itself. The message has a line for each mistake, which begins
  // with PATH:LINE:COLUMN.
  static absl::StatusOr<std::shared_ptr<const JsonSchema>> Parse(absl::string_view path,
                                                                 absl::string_view text);
  ~JsonSchema();

  // Adds to `found` what the schema refuses of the documents of the file at `path`. With
  // `quotes_content` messages say which value of the document they are about. The time is bounded
  // by SchemaVisitor::kMaxSteps for each document.
  void Check(absl::string_view path, const DocumentTree& tree, bool quotes_content,
             ViolationList* found) const;

 private:
  JsonSchema();
  // Makes a schema of what is known to be one. INVALID_ARGUMENT: valijson refuses it.
  static absl::StatusOr<std::shared_ptr<JsonSchema>> Compile(const DocumentTree& tree);
  void CheckNode(absl::string_view path, const DocumentTree& tree, NodeIndex node,
                 bool quotes_content, ViolationList* found) const;

  std::unique_ptr<const valijson::Schema> schema_;
  PatternSet patterns_;
};

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_VALIDATE_JSON_SCHEMA_H_
