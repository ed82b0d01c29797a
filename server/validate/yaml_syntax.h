// The rules yaml.syntax, yaml.nesting and yaml.aliases.

#ifndef CONFSTREAM_SERVER_VALIDATE_YAML_SYNTAX_H_
#define CONFSTREAM_SERVER_VALIDATE_YAML_SYNTAX_H_

#include <optional>

#include "absl/strings/string_view.h"
#include "server/snapshot/source_config.h"
#include "server/snapshot/violation.h"

namespace confstream {

// Returns the first thing wrong with a YAML file, every document of it, or nothing. No tree is
// built and no alias is expanded: time and memory are in the order of the file's size, whatever it
// holds. Refused are
//   yaml.syntax   what is no YAML, and content that follows a document without `---`;
//   yaml.nesting  more than limits.max_nesting collections inside one another;
//   yaml.aliases  aliases that together stand for more than limits.max_alias_nodes nodes, and an
//                 alias inside the node that it refers to.
// An empty file and a byte order mark are allowed. Duplicate keys are not looked for.
// REQUIRES: `bytes` is valid UTF-8.
std::optional<Violation> CheckYamlSyntax(absl::string_view path, absl::string_view bytes,
                                         const SourceLimits& limits);

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_VALIDATE_YAML_SYNTAX_H_
