#include "server/snapshot/violation.h"

#include "absl/strings/str_cat.h"

namespace confstream {

std::string TextOf(const Violation& violation) {
  std::string text = violation.path.empty() ? "." : violation.path;
  if (violation.line > 0) absl::StrAppend(&text, ":", violation.line);
  if (violation.line > 0 && violation.column > 0) absl::StrAppend(&text, ":", violation.column);
  absl::StrAppend(&text, ": ", violation.rule, ": ", violation.message);
  return text;
}

}  // namespace confstream
