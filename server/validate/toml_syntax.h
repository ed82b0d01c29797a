// The rules toml.syntax and toml.nesting.

#ifndef CONFSTREAM_SERVER_VALIDATE_TOML_SYNTAX_H_
#define CONFSTREAM_SERVER_VALIDATE_TOML_SYNTAX_H_

#include <optional>

#include "absl/strings/string_view.h"
#include "server/snapshot/source_config.h"
#include "server/snapshot/violation.h"

namespace confstream {

// Returns the first thing wrong with a TOML file (version 1.0), or nothing. toml++ knows no events,
// so its tree is built and dropped, but only after toml.nesting has passed. Refused are
//   toml.syntax   what is no TOML, keys defined twice included;
//   toml.nesting  more than limits.max_nesting tables and arrays inside one another, as they are
//                 written: the parts of a dotted key or table name count, the arrays of tables that
//                 they lead through do not.
// An empty file and a byte order mark are allowed.
// REQUIRES: `bytes` is valid UTF-8.
std::optional<Violation> CheckTomlSyntax(absl::string_view path, absl::string_view bytes,
                                         const SourceLimits& limits);

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_VALIDATE_TOML_SYNTAX_H_
