// The lines of a log, kept as text that may be read while other threads write on.

#ifndef CONFSTREAM_TESTS_FAKES_LOG_TEXT_H_
#define CONFSTREAM_TESTS_FAKES_LOG_TEXT_H_

#include <spdlog/sinks/base_sink.h>

#include <mutex>
#include <string>

namespace confstream {

// Thread-safe.
class LogText final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  // Every line written so far, each with its end.
  std::string str() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return text_;
  }

 private:
  void sink_it_(const spdlog::details::log_msg& message) override {
    spdlog::memory_buf_t line;
    formatter_->format(message, line);
    text_.append(line.data(), line.size());
  }
  void flush_() override {}

  std::string text_;
};

}  // namespace confstream

#endif  // CONFSTREAM_TESTS_FAKES_LOG_TEXT_H_
