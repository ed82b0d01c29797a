// What is wrong with a source's content.

#ifndef CONFSTREAM_SERVER_SNAPSHOT_VIOLATION_H_
#define CONFSTREAM_SERVER_SNAPSHOT_VIOLATION_H_

#include <cstdint>
#include <string>
#include <tuple>

namespace confstream {

// One broken rule; the fields mean what confstream.v1.Violation documents. All text is valid UTF-8
// without control characters (EscapeForDisplay).
struct Violation {
  std::string path;    // relative to the source; empty: the source as a whole
  int64_t line = 0;    // from 1; 0: not known
  int64_t column = 0;  // from 1; 0: not known
  std::string rule;    // for example yaml.syntax
  std::string message;

  friend bool operator==(const Violation& a, const Violation& b) {
    return std::tie(a.path, a.line, a.column, a.rule, a.message) ==
           std::tie(b.path, b.line, b.column, b.rule, b.message);
  }
  friend bool operator<(const Violation& a, const Violation& b) {
    return std::tie(a.path, a.line, a.column, a.rule, a.message) <
           std::tie(b.path, b.line, b.column, b.rule, b.message);
  }
};

// As a violation is written wherever people read it, `PATH:LINE:COLUMN: RULE: MESSAGE`: without
// what is not known, and with `.` for the source as a whole.
std::string TextOf(const Violation& violation);

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_SNAPSHOT_VIOLATION_H_
