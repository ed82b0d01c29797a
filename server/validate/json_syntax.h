// The rules json.syntax and json.nesting.

#ifndef CONFSTREAM_SERVER_VALIDATE_JSON_SYNTAX_H_
#define CONFSTREAM_SERVER_VALIDATE_JSON_SYNTAX_H_

#include <optional>

#include "absl/strings/string_view.h"
#include "server/snapshot/source_config.h"
#include "server/snapshot/violation.h"

namespace confstream {

// Returns the first thing wrong with a JSON file (RFC 8259: one value, no comments), or nothing. No
// tree is built. Refused are
//   json.syntax   what is no JSON: an empty file and anything after the value, too; a byte order
//                 mark, which most JSON parsers refuse; a number too large for a double;
//   json.nesting  more than limits.max_nesting objects and arrays inside one another.
// Duplicate keys are not looked for.
// REQUIRES: `bytes` is valid UTF-8.
std::optional<Violation> CheckJsonSyntax(absl::string_view path, absl::string_view bytes,
                                         const SourceLimits& limits);

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_VALIDATE_JSON_SYNTAX_H_
