// The server's log: one line an event, with fields.

#ifndef CONFSTREAM_SERVER_BASE_LOG_H_
#define CONFSTREAM_SERVER_BASE_LOG_H_

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace spdlog {
class logger;
namespace sinks {
class sink;
}
}  // namespace spdlog

namespace confstream {

enum class LogLevel { kDebug, kInfo, kWarning, kError };
enum class LogFormat {
  kText,  // 2026-01-31T10:00:00.000Z info  message key=value key="a value"
  kJson,  // {"time":"2026-01-31T10:00:00.000Z","level":"info","message":"message","key":"value"}
};

// A named value beside a log message. Keys are the words of docs/design.md: source, version,
// digest, reason, path.
struct LogField {
  LogField(absl::string_view k, absl::string_view v) : key(k), value(v) {}
  LogField(absl::string_view k, const char* v) : key(k), value(v) {}
  LogField(absl::string_view k, const std::string& v) : key(k), value(v) {}
  LogField(absl::string_view k, int64_t v) : key(k), value(absl::StrCat(v)), number(true) {}

  absl::string_view key;
  std::string value;
  bool number = false;
};

// Thread-safe. Text from outside may be passed as it is: both formats escape it.
class Logger {
 public:
  // Writes to standard error.
  Logger(LogFormat format, LogLevel least);
  // Writes to `sink`.
  Logger(LogFormat format, LogLevel least, std::shared_ptr<spdlog::sinks::sink> sink);
  ~Logger();
  Logger(const Logger&) = delete;
  Logger& operator=(const Logger&) = delete;

  void Debug(absl::string_view message, std::initializer_list<LogField> fields = {}) {
    Write(LogLevel::kDebug, message, fields);
  }
  void Info(absl::string_view message, std::initializer_list<LogField> fields = {}) {
    Write(LogLevel::kInfo, message, fields);
  }
  void Warning(absl::string_view message, std::initializer_list<LogField> fields = {}) {
    Write(LogLevel::kWarning, message, fields);
  }
  void Error(absl::string_view message, std::initializer_list<LogField> fields = {}) {
    Write(LogLevel::kError, message, fields);
  }

 private:
  void Write(LogLevel level, absl::string_view message, std::initializer_list<LogField> fields);

  const LogFormat format_;
  const LogLevel least_;
  const std::unique_ptr<spdlog::logger> logger_;
};

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_BASE_LOG_H_
