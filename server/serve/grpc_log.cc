#include "server/serve/grpc_log.h"

#include <google/protobuf/stubs/logging.h>
#include <grpc/support/log.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "server/base/mutex.h"

namespace confstream {
namespace {

// Both take a function and nothing besides, so what the function needs is global.
struct Receiver {
  Mutex mu;
  Logger* log ABSL_GUARDED_BY(mu) = nullptr;
  google::protobuf::LogHandler* protobuf_before ABSL_GUARDED_BY(mu) = nullptr;
  absl::Time window_end ABSL_GUARDED_BY(mu) = absl::InfinitePast();
  int64_t lines ABSL_GUARDED_BY(mu) = 0;  // in the window
};

// Never destroyed: threads of theirs may outlive main().
Receiver& TheReceiver() {
  static Receiver& receiver = *new Receiver;
  return receiver;
}

void Receive(LogLevel level, absl::string_view library, absl::string_view message,
             absl::string_view file, int line) {
  Receiver& receiver = TheReceiver();
  MutexLock lock(&receiver.mu);
  if (receiver.log == nullptr) return;
  const absl::Time now = absl::Now();
  if (now >= receiver.window_end) {
    const int64_t left_out = receiver.lines - GrpcLog::kMaxLines;
    if (left_out > 0) receiver.log->Warning("lines left out", {{"lines", left_out}});
    receiver.window_end = now + GrpcLog::kWindow;
    receiver.lines = 0;
  }
  if (++receiver.lines > GrpcLog::kMaxLines) return;
  file.remove_prefix(file.rfind('/') + 1);  // nothing, if there is none
  const LogField reason("reason", message);
  const LogField place("place", absl::StrCat(file, ":", line));
  switch (level) {
    case LogLevel::kDebug:
      receiver.log->Debug(library, {reason, place});
      return;
    case LogLevel::kInfo:
      receiver.log->Info(library, {reason, place});
      return;
    case LogLevel::kWarning:
      receiver.log->Warning(library, {reason, place});
      return;
    case LogLevel::kError:
      receiver.log->Error(library, {reason, place});
      return;
  }
}

void FromGrpc(gpr_log_func_args* line) {
  const LogLevel level = line->severity == GPR_LOG_SEVERITY_ERROR  ? LogLevel::kError
                         : line->severity == GPR_LOG_SEVERITY_INFO ? LogLevel::kInfo
                                                                   : LogLevel::kDebug;
  Receive(level, "gRPC", line->message, line->file, line->line);
}

void FromProtobuf(google::protobuf::LogLevel severity, const char* file, int line,
                  const std::string& message) {
  const LogLevel level = severity >= google::protobuf::LOGLEVEL_ERROR     ? LogLevel::kError
                         : severity == google::protobuf::LOGLEVEL_WARNING ? LogLevel::kWarning
                                                                          : LogLevel::kInfo;
  Receive(level, "protobuf", message, file, line);
}

}  // namespace

GrpcLog::GrpcLog(Logger* log) {
  Receiver& receiver = TheReceiver();
  MutexLock lock(&receiver.mu);
  receiver.log = log;
  receiver.window_end = absl::InfinitePast();
  receiver.lines = 0;
  gpr_set_log_function(&FromGrpc);
  receiver.protobuf_before = google::protobuf::SetLogHandler(&FromProtobuf);
}

GrpcLog::~GrpcLog() {
  Receiver& receiver = TheReceiver();
  MutexLock lock(&receiver.mu);
  receiver.log = nullptr;
  gpr_set_log_function(nullptr);
  google::protobuf::SetLogHandler(receiver.protobuf_before);
}

}  // namespace confstream
