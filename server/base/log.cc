#include "server/base/log.h"

#include <spdlog/logger.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "server/base/text.h"

namespace confstream {
namespace {

absl::string_view LevelName(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return "debug";
    case LogLevel::kInfo:
      return "info";
    case LogLevel::kWarning:
      return "warning";
    case LogLevel::kError:
      return "error";
  }
  return "unknown";
}

std::string Timestamp() {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", absl::Now(), absl::UTCTimeZone());
}

// A value as key=value shows it: quoted if a reader, or a program that splits at blanks, could
// misread it.
std::string TextValue(const std::string& value) {
  const std::string escaped = EscapeForDisplay(value);
  const bool plain =
      !value.empty() && escaped == value && value.find_first_of(" =\"") == std::string::npos;
  if (plain) return value;
  std::string quoted = "\"";
  for (const char c : escaped) {
    if (c == '"') quoted += '\\';
    quoted += c;
  }
  quoted += '"';
  return quoted;
}

std::string TextLine(LogLevel level, absl::string_view message,
                     std::initializer_list<LogField> fields) {
  std::string line =
      absl::StrCat(Timestamp(), " ", LevelName(level), " ", EscapeForDisplay(message));
  for (const LogField& field : fields) {
    absl::StrAppend(&line, " ", field.key, "=", TextValue(field.value));
  }
  return line;
}

std::string JsonLine(LogLevel level, absl::string_view message,
                     std::initializer_list<LogField> fields) {
  nlohmann::ordered_json line;
  line["time"] = Timestamp();
  line["level"] = std::string(LevelName(level));
  line["message"] = std::string(message);
  for (const LogField& field : fields) {
    int64_t number = 0;
    if (field.number && absl::SimpleAtoi(field.value, &number)) {
      line[std::string(field.key)] = number;
    } else {
      line[std::string(field.key)] = field.value;
    }
  }
  return line.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

std::unique_ptr<spdlog::logger> MakeLogger(std::shared_ptr<spdlog::sinks::sink> sink) {
  auto logger = std::make_unique<spdlog::logger>("confstream", std::move(sink));
  logger->set_pattern("%v");
  logger->set_level(spdlog::level::trace);  // Logger::Write has filtered already
  logger->flush_on(spdlog::level::trace);
  return logger;
}

}  // namespace

Logger::Logger(LogFormat format, LogLevel least)
    : Logger(format, least, std::make_shared<spdlog::sinks::stderr_sink_mt>()) {}

Logger::Logger(LogFormat format, LogLevel least, std::shared_ptr<spdlog::sinks::sink> sink)
    : format_(format), least_(least), logger_(MakeLogger(std::move(sink))) {}

Logger::~Logger() = default;

void Logger::Write(LogLevel level, absl::string_view message,
                   std::initializer_list<LogField> fields) {
  if (level < least_) return;
  const std::string line = format_ == LogFormat::kJson ? JsonLine(level, message, fields)
                                                       : TextLine(level, message, fields);
  logger_->log(spdlog::level::info, spdlog::string_view_t(line.data(), line.size()));
}

}  // namespace confstream
