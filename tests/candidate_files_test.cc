#include "server/serve/candidate_files.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/base/error_reason.h"

namespace confstream {
namespace {

v1::ConfigFile Part(const std::string& path, const std::string& content, int64_t offset = 0,
                    int64_t size = 0) {
  v1::ConfigFile part;
  part.set_path(path);
  part.set_content(content);
  part.set_content_offset(offset);
  part.set_size_bytes(size);
  return part;
}

class CandidateFilesTest : public testing::Test {
 protected:
  absl::Status Take(const std::vector<v1::ConfigFile>& parts) {
    CandidateFiles files(config_);
    for (const v1::ConfigFile& part : parts) {
      absl::Status status = files.Take(part);
      if (!status.ok()) return status;
    }
    return files.Finish(&generation_, &violations_);
  }

  void ExpectRefused(const std::vector<v1::ConfigFile>& parts, const std::string& text) {
    const absl::Status status = Take(parts);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(ReasonOf(status), kInvalidRequest);
    EXPECT_NE(status.message().find(text), absl::string_view::npos) << status;
  }

  std::string OnlyRule() const { return violations_.size() == 1 ? violations_[0].rule : ""; }

  SourceConfig config_;
  Generation generation_;
  std::vector<Violation> violations_;
};

TEST_F(CandidateFilesTest, FilesComeInOrderOfPathsWithTheirDigests) {
  ASSERT_TRUE(Take({Part("b", "2"), Part("a/c", ""), Part("a", "1")}).ok());
  ASSERT_EQ(generation_.files.size(), 3u);
  EXPECT_EQ(generation_.files[0].path, "a");
  EXPECT_EQ(generation_.files[1].path, "a/c");
  EXPECT_EQ(generation_.files[2].content->bytes, "2");
  EXPECT_EQ(generation_.files[2].content->digest, Sha256::Of("2"));
  EXPECT_TRUE(violations_.empty());
}

TEST_F(CandidateFilesTest, SplitFileIsPutTogether) {
  ASSERT_TRUE(
      Take({Part("a", "12", 0, 5), Part("a", "34", 2), Part("a", "5", 4), Part("b", "x")}).ok());
  ASSERT_EQ(generation_.files.size(), 2u);
  EXPECT_EQ(generation_.files[0].content->bytes, "12345");
}

TEST_F(CandidateFilesTest, WhatContradictsItselfIsRefused) {
  ExpectRefused({Part("a", "1"), Part("a", "2")}, "twice");
  ExpectRefused({Part("a", "1", 0, 3), Part("b", "2")}, "not whole");
  ExpectRefused({Part("a", "1", 0, 3), Part("a", "2", 2)}, "not whole");
  ExpectRefused({Part("a", "1", 0, 3)}, "not whole");
  ExpectRefused({Part("a", "1", 1, 3)}, "first part first");
  ExpectRefused({Part("a", "12", 0, 3), Part("a", "345", 2)}, "more than the 3");
}

TEST_F(CandidateFilesTest, PathsThatNoFileOfASourceCanHaveAreRefused) {
  const std::string long_path(4097, 'a');
  for (const char* path :
       {"", "/etc/passwd", "../a", "a/../b", "a//b", "a/", "./a", long_path.c_str()}) {
    ExpectRefused({Part(path, "1")}, "cannot be that of a file");
  }
}

TEST_F(CandidateFilesTest, BrokenLimitsAreViolationsAndNothingIsLeftToBeChecked) {
  config_.limits.max_file_bytes = 3;
  EXPECT_TRUE(Take({Part("a", "1234")}).ok());
  EXPECT_EQ(OnlyRule(), "limits.file_size");
  EXPECT_TRUE(generation_.files.empty());

  violations_.clear();
  config_.limits.max_total_bytes = 5;
  EXPECT_TRUE(Take({Part("a", "123"), Part("b", "456")}).ok());
  EXPECT_EQ(OnlyRule(), "limits.total_size");

  violations_.clear();
  config_.limits.max_files = 1;
  EXPECT_TRUE(Take({Part("a", "1"), Part("b", "2")}).ok());
  EXPECT_EQ(OnlyRule(), "limits.files");

  violations_.clear();
  config_.limits.max_depth = 1;
  EXPECT_TRUE(Take({Part("a/b/c", "1")}).ok());
  EXPECT_EQ(OnlyRule(), "limits.depth");
}

TEST_F(CandidateFilesTest, NoFileAtAllIsAViolationUnlessAllowed) {
  EXPECT_TRUE(Take({}).ok());
  EXPECT_EQ(OnlyRule(), "source.empty");
  violations_.clear();
  config_.allow_empty = true;
  EXPECT_TRUE(Take({}).ok());
  EXPECT_TRUE(violations_.empty());
}

TEST_F(CandidateFilesTest, FilesThatTheSourceDoesNotTakeAreLeftOut) {
  config_.include = {*PathGlob::Parse("*.yaml")};
  config_.exclude = {*PathGlob::Parse("draft*")};
  ASSERT_TRUE(Take({Part("a.yaml", "1"), Part("b.txt", "2"), Part("draft.yaml", "3"),
                    Part("drafts/a.yaml", "4")})
                  .ok());
  ASSERT_EQ(generation_.files.size(), 1u);
  EXPECT_EQ(generation_.files[0].path, "a.yaml");
}

TEST_F(CandidateFilesTest, FloodOfTinyFilesIsCutOff) {
  config_.limits.max_files = 10;
  std::vector<v1::ConfigFile> parts;
  for (int i = 0; i < 2000; ++i) parts.push_back(Part(absl::StrCat("f", i), ""));
  ExpectRefused(parts, "limits.max_files");
}

}  // namespace
}  // namespace confstream
