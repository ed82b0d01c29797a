// A publisher with one source, `app`, and what surrounds it.

#ifndef CONFSTREAM_TESTS_PUBLISHER_FIXTURE_H_
#define CONFSTREAM_TESTS_PUBLISHER_FIXTURE_H_

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "server/publish/publisher.h"
#include "tests/fakes/fake_clock.h"
#include "tests/fakes/files.h"
#include "tests/fakes/hooked_file_system.h"
#include "tests/fakes/log_text.h"
#include "tests/fakes/recording_answers.h"
#include "tests/fakes/recording_sink.h"
#include "tests/fakes/temporary_directory.h"

namespace confstream {

class PublisherTest : public testing::Test {
 protected:
  PublisherTest() {
    publisher_.SetAnswerSink(&answers_);
    publisher_.AddSource(Config(), no_schemas_, 1);
  }

  SourceConfig Config(const std::string& name = "app") const {
    SourceConfig config;
    config.name = name;
    config.path = directory_.Path(name);
    config.settle = absl::ZeroDuration();  // files that were written just now are at rest
    return config;
  }

  void Write(const std::string& path, const std::string& content) {
    WriteFile(directory_.Path("app/" + path), content);
  }

  // A request as the watch thread makes it once writing has stopped.
  ReadRequest Request(const std::string& source = "app", uint64_t incarnation = 1) {
    ReadRequest request;
    request.source = source;
    request.incarnation = incarnation;
    request.route = LinkResolver(&posix_).ResolveSource(directory_.Path(source), false);
    request.cause = ReadCause::kSettled;
    request.touched.AddAll();
    return request;
  }

  // Submits and waits for the answer.
  ReadOutcome Read(const ReadRequest& request) {
    const size_t before = answers_.count();
    publisher_.Submit(request);
    const ReadAnswer answer = answers_.Await(before + 1);
    EXPECT_EQ(answer.source, request.source);
    EXPECT_EQ(answer.incarnation, request.incarnation);
    return answer.outcome;
  }
  ReadOutcome Read() { return Read(Request()); }

  // What was handed over last.
  const SourceState& state() {
    states_ = sink_.states();
    EXPECT_FALSE(states_.empty());
    static const SourceState kNone;
    return states_.empty() ? kNone : *states_.back();
  }

  int Logged(const std::string& text) {
    int count = 0;
    const std::string log = log_text_->str();
    for (size_t at = log.find(text); at != std::string::npos; at = log.find(text, at + 1)) ++count;
    return count;
  }

  TemporaryDirectory directory_;
  FakeClock clock_;
  PosixFileSystem posix_;
  HookedFileSystem file_system_;
  RecordingSink sink_;
  RecordingAnswers answers_;
  const std::shared_ptr<LogText> log_text_ = std::make_shared<LogText>();
  Logger log_{LogFormat::kText, LogLevel::kDebug, log_text_};
  const std::shared_ptr<const SchemaSet> no_schemas_ = *SchemaSet::Load({});
  SourceJournals journals_{&clock_};
  const std::unique_ptr<History> history_ = *History::Open("", &clock_, &log_);
  Publisher publisher_{{&clock_, &file_system_, {&sink_}, &journals_, &log_}, history_.get(), 2};
  std::vector<std::shared_ptr<const SourceState>> states_;
};

}  // namespace confstream

#endif  // CONFSTREAM_TESTS_PUBLISHER_FIXTURE_H_
