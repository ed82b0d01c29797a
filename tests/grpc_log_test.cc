#include "server/serve/grpc_log.h"

#include <google/protobuf/stubs/logging.h>
#include <grpc/grpc.h>
#include <grpc/support/log.h>
#include <gtest/gtest.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "tests/fakes/log_text.h"

namespace confstream {
namespace {

class GrpcLogTest : public testing::Test {
 protected:
  GrpcLogTest() { grpc_init(); }  // before that, gRPC prints nothing
  ~GrpcLogTest() override { grpc_shutdown(); }

  std::vector<nlohmann::json> Lines() const {
    std::vector<nlohmann::json> lines;
    std::istringstream text(written_->str());
    for (std::string line; std::getline(text, line);) lines.push_back(nlohmann::json::parse(line));
    return lines;
  }

  const std::shared_ptr<LogText> written_ = std::make_shared<LogText>();
  Logger log_{LogFormat::kJson, LogLevel::kInfo, written_};
};

TEST_F(GrpcLogTest, LinesOfGrpcAreLinesOfTheLogWithTheirLevel) {
  const GrpcLog grpc_log(&log_);
  gpr_log("src/core/server.cc", 12, GPR_LOG_SEVERITY_ERROR, "no port: %s", "\"in use\"\nby whom");
  gpr_log("server.cc", 13, GPR_LOG_SEVERITY_DEBUG, "of no interest");
  const auto lines = Lines();
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0]["level"], "error");
  EXPECT_EQ(lines[0]["message"], "gRPC");
  EXPECT_EQ(lines[0]["reason"], "no port: \"in use\"\nby whom");
  EXPECT_EQ(lines[0]["place"], "server.cc:12");
}

TEST_F(GrpcLogTest, WhatProtobufSaysOfARequestIsThereToo) {
  const GrpcLog grpc_log(&log_);
  GOOGLE_LOG(WARNING) << "contains invalid UTF-8";
  const auto lines = Lines();
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0]["level"], "warning");
  EXPECT_EQ(lines[0]["reason"], "contains invalid UTF-8");
}

TEST_F(GrpcLogTest, FloodIsCutOff) {
  const GrpcLog grpc_log(&log_);
  for (int i = 0; i < 1000; ++i) gpr_log("a.cc", i, GPR_LOG_SEVERITY_ERROR, "again");
  EXPECT_EQ(Lines().size(), static_cast<size_t>(GrpcLog::kMaxLines));
}

TEST_F(GrpcLogTest, NothingIsWrittenToALogThatIsGone) {
  { const GrpcLog grpc_log(&log_); }
  gpr_log("a.cc", 1, GPR_LOG_SEVERITY_INFO, "late");
  EXPECT_TRUE(Lines().empty());
}

}  // namespace
}  // namespace confstream
