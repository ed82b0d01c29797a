#include "server/base/log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_split.h"
#include "tests/fakes/log_text.h"

namespace confstream {
namespace {

using ::testing::ContainsRegex;
using ::testing::EndsWith;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::StartsWith;

class LogTest : public ::testing::Test {
 protected:
  Logger MakeLogger(LogFormat format, LogLevel least = LogLevel::kInfo) {
    return Logger(format, least, written_);
  }

  // The lines written so far; every one of them ended.
  std::vector<std::string> Lines() const {
    std::vector<std::string> lines = absl::StrSplit(written_->str(), '\n');
    EXPECT_EQ(lines.back(), "") << "the last line is not ended";
    lines.pop_back();
    return lines;
  }

  const std::shared_ptr<LogText> written_ = std::make_shared<LogText>();
};

TEST_F(LogTest, ATextLineHasTimeLevelMessageAndFields) {
  Logger log = MakeLogger(LogFormat::kText);
  log.Info("published", {{"source", "payments"}, {"version", 42}});
  ASSERT_THAT(Lines(), SizeIs(1));
  EXPECT_THAT(Lines()[0],
              ContainsRegex("^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}"
                            "\\.[0-9]{3}Z info +published source=payments version=42$"));
}

TEST_F(LogTest, ATextValueThatCouldBeMisreadIsQuoted) {
  Logger log = MakeLogger(LogFormat::kText);
  log.Warning("refused", {{"a", ""}, {"b", "two words"}, {"c", "k=v"}, {"d", "say \"no\""}});
  ASSERT_THAT(Lines(), SizeIs(1));
  EXPECT_THAT(Lines()[0], EndsWith(R"(refused a="" b="two words" c="k=v" d="say \"no\"")"));
}

TEST_F(LogTest, TextFromOutsideCanNeitherForgeALineNorDriveTheTerminal) {
  Logger log = MakeLogger(LogFormat::kText);
  log.Error("bad\nname", {{"path", "a\n2026-01-31 info forged\x1b[31m\xff"}});
  ASSERT_THAT(Lines(), SizeIs(1));
  EXPECT_THAT(Lines()[0],
              EndsWith(R"(error bad\nname path="a\n2026-01-31 info forged\x1b[31m\xff")"));
}

TEST_F(LogTest, AJsonLineIsAnObjectWithTypedFields) {
  Logger log = MakeLogger(LogFormat::kJson);
  log.Error("refused", {{"path", "a \"b\"\n\x01"}, {"line", 7}, {"digits", "7"}});
  ASSERT_THAT(Lines(), SizeIs(1));
  EXPECT_THAT(Lines()[0], StartsWith("{\"time\":\""));
  const auto line = nlohmann::json::parse(Lines()[0]);
  EXPECT_EQ(line["level"], "error");
  EXPECT_EQ(line["message"], "refused");
  EXPECT_EQ(line["path"], "a \"b\"\n\x01");
  EXPECT_EQ(line["line"], 7);
  EXPECT_EQ(line["digits"], "7");
}

TEST_F(LogTest, AJsonLineStaysJsonWhenAFieldIsNotUtf8) {
  Logger log = MakeLogger(LogFormat::kJson);
  log.Info("read", {{"path", "\xff.yaml"}});
  ASSERT_THAT(Lines(), SizeIs(1));
  EXPECT_EQ(nlohmann::json::parse(Lines()[0])["path"], "\xef\xbf\xbd.yaml");
}

TEST_F(LogTest, FormatPlaceholdersInAMessageAreText) {
  Logger log = MakeLogger(LogFormat::kText);
  log.Info("{} {0} %v %s", {{"k", "{}"}});
  ASSERT_THAT(Lines(), SizeIs(1));
  EXPECT_THAT(Lines()[0], EndsWith("{} {0} %v %s k={}"));
}

TEST_F(LogTest, LinesBelowTheLeastLevelAreNotWritten) {
  Logger log = MakeLogger(LogFormat::kText, LogLevel::kWarning);
  log.Debug("debug");
  log.Info("info");
  EXPECT_THAT(Lines(), IsEmpty());
  log.Warning("warning");
  log.Error("error");
  EXPECT_THAT(Lines(), SizeIs(2));
}

TEST_F(LogTest, LinesOfSeveralThreadsDoNotMix) {
  Logger log = MakeLogger(LogFormat::kJson);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&log] {
      for (int n = 0; n < 100; ++n) log.Info("line", {{"n", n}});
    });
  }
  for (std::thread& thread : threads) thread.join();
  ASSERT_THAT(Lines(), SizeIs(400));
  for (const std::string& line : Lines()) {
    EXPECT_EQ(nlohmann::json::parse(line)["message"], "line");
  }
}

}  // namespace
}  // namespace confstream
