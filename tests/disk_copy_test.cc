#include "client/cpp/disk_copy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "client/cpp/snapshot_assembler.h"
#include "tests/fakes/files.h"
#include "tests/fakes/scripted_config_service.h"
#include "tests/fakes/temporary_directory.h"

namespace confstream {
namespace {

using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

constexpr int64_t kMaxBytes = 1000;

class DiskCopyTest : public ::testing::Test {
 protected:
  static std::shared_ptr<const ReceivedSnapshot> Received(const ScriptedVersion& version) {
    SnapshotAssembler assembler;
    return *assembler.Take(SnapshotOf(version).front());
  }

  static ScriptedVersion Two() {
    ScriptedVersion version;
    version.version = 2;
    version.files = {{"a.yaml", "a: 1\n"}, {"b/c", std::string("\0\xff", 2)}, {"empty", ""}};
    version.missing_globs = {"*.json"};
    return version;
  }

  std::vector<std::string> Names() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(directory_.path())) {
      names.push_back(entry.path().filename().string());
    }
    return names;
  }

  // Has `change` spoil the copy, and expects that it is refused with `code` and left as it is.
  void ExpectRefused(const std::function<void(v1::WatchResponse*)>& change,
                     absl::StatusCode code = absl::StatusCode::kDataLoss) {
    ASSERT_TRUE(copy_.Write(*Received(Two())).ok());
    v1::WatchResponse message;
    ASSERT_TRUE(message.ParseFromString(ReadFile(copy_.path())));
    change(&message);
    WriteFile(copy_.path(), message.SerializeAsString());
    EXPECT_EQ(copy_.Read().status().code(), code);
    EXPECT_EQ(ReadFile(copy_.path()), message.SerializeAsString());
  }

  TemporaryDirectory directory_;
  DiskCopy copy_{directory_.path(), "app", {}, kMaxBytes};
};

TEST_F(DiskCopyTest, IsNamedAfterSourceAndView) {
  // The digests of what `printf '%s\n' GLOB... | sha256sum` reads.
  EXPECT_THAT(copy_.path(), EndsWith("/app.e3b0c44298fc1c14.snapshot"));
  const DiskCopy globs(directory_.path(), "app", {"b", "a*", "b"}, kMaxBytes);
  EXPECT_THAT(globs.path(), EndsWith("/app.17c23b2df3db5409.snapshot"));
  EXPECT_EQ(DiskCopy(directory_.path(), "app", {"a*", "b"}, kMaxBytes).path(), globs.path());
  EXPECT_NE(DiskCopy(directory_.path(), "app", {"a*b"}, kMaxBytes).path(), globs.path());
}

TEST_F(DiskCopyTest, WhatIsWrittenIsReadAgain) {
  ASSERT_TRUE(copy_.Write(*Received(Two())).ok());
  const auto read = copy_.Read();
  ASSERT_TRUE(read.ok()) << read.status();
  const ReceivedSnapshot& snapshot = **read;
  EXPECT_EQ(snapshot.header.version(), 2);
  EXPECT_EQ(snapshot.header.epoch(), "e1");
  EXPECT_EQ(snapshot.header.resume_token(), "token-e1-2");
  EXPECT_EQ(snapshot.view_digest, Received(Two())->view_digest);
  EXPECT_THAT(snapshot.missing_globs, ElementsAre("*.json"));
  ASSERT_EQ(snapshot.files.size(), 3u);
  EXPECT_EQ(*snapshot.Find("b/c")->content, std::string("\0\xff", 2));
  EXPECT_EQ(*snapshot.Find("empty")->content, "");
  EXPECT_EQ(snapshot.Find("a.yaml")->content_type, "text/plain");
  EXPECT_EQ(snapshot.Find("a.yaml")->last_changed_version, 2);
}

TEST_F(DiskCopyTest, IsTheMessageThatTheServerWouldSend) {
  ASSERT_TRUE(copy_.Write(*Received(Two())).ok());
  v1::WatchResponse message;
  ASSERT_TRUE(message.ParseFromString(ReadFile(copy_.path())));
  const v1::WatchResponse sent = SnapshotOf(Two()).front();
  EXPECT_EQ(message.header().SerializeAsString(), sent.header().SerializeAsString());
  EXPECT_EQ(message.snapshot().SerializeAsString(), sent.snapshot().SerializeAsString());
  EXPECT_FALSE(message.more_fragments());
}

TEST_F(DiskCopyTest, OnlyTheOwnerMayReadIt) {
  const mode_t old_mask = umask(0);
  const DiskCopy copy(directory_.Path("new/cache"), "app", {}, kMaxBytes);
  ASSERT_TRUE(copy.Write(*Received(Two())).ok());
  umask(old_mask);
  struct stat st {};
  ASSERT_EQ(stat(copy.path().c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777, 0600u);
  ASSERT_EQ(stat(directory_.Path("new/cache").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777, 0700u);
}

TEST_F(DiskCopyTest, ANewVersionReplacesTheFileAndLeavesNothingElse) {
  ASSERT_TRUE(copy_.Write(*Received(Two())).ok());
  // Whoever reads the old one at the moment goes on with it.
  std::ifstream reader(copy_.path());
  ScriptedVersion three = Two();
  three.version = 3;
  three.files["a.yaml"] = "a: 2\n";
  ASSERT_TRUE(copy_.Write(*Received(three)).ok());
  v1::WatchResponse old;
  ASSERT_TRUE(old.ParseFromIstream(&reader));
  EXPECT_EQ(old.header().version(), 2);
  EXPECT_EQ((*copy_.Read())->header.version(), 3);
  EXPECT_THAT(Names(), ElementsAre("app.e3b0c44298fc1c14.snapshot"));
}

TEST_F(DiskCopyTest, WhatAKilledWriterLeftIsClearedAwayAndWhatIsOfOthersStays) {
  const std::string others = directory_.Path("application.e3b0c44298fc1c14.snapshot.0123.tmp");
  for (const std::string& path : {copy_.path() + ".0123.tmp", others}) {
    WriteFile(path, "half");
    std::filesystem::last_write_time(
        path, std::filesystem::file_time_type::clock::now() - std::chrono::hours(1));
  }
  WriteFile(copy_.path() + ".4567.tmp", "of one that writes now");
  ASSERT_TRUE(copy_.Read().ok());
  EXPECT_THAT(Names(), UnorderedElementsAre("app.e3b0c44298fc1c14.snapshot.4567.tmp",
                                            "application.e3b0c44298fc1c14.snapshot.0123.tmp"));
}

TEST_F(DiskCopyTest, NoCopyIsNoError) {
  const auto none = copy_.Read();
  ASSERT_TRUE(none.ok()) << none.status();
  EXPECT_EQ(*none, nullptr);
  const DiskCopy nowhere(directory_.Path("missing"), "app", {}, kMaxBytes);
  EXPECT_TRUE(nowhere.Read().ok());
}

TEST_F(DiskCopyTest, ADamagedCopyIsRefusedAndLeftAlone) {
  ExpectRefused([](v1::WatchResponse* message) {
    message->mutable_snapshot()->mutable_files(0)->set_content("a: 2\n");
  });
  ExpectRefused([](v1::WatchResponse* message) {
    message->mutable_snapshot()->mutable_files()->RemoveLast();
  });
  ExpectRefused([](v1::WatchResponse* message) { message->set_more_fragments(true); });
  ExpectRefused([](v1::WatchResponse* message) { message->mutable_heartbeat(); });
  ExpectRefused([](v1::WatchResponse* message) { message->mutable_header()->set_version(0); });
  ExpectRefused([](v1::WatchResponse* message) { message->mutable_header()->set_source("else"); });

  const std::string torn = ReadFile(copy_.path()).substr(0, 50);
  WriteFile(copy_.path(), torn);
  EXPECT_EQ(copy_.Read().status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(ReadFile(copy_.path()), torn);
}

TEST_F(DiskCopyTest, TheBytesCountNotWhatIsSaidOfThem) {
  ASSERT_TRUE(copy_.Write(*Received(Two())).ok());
  v1::WatchResponse message;
  ASSERT_TRUE(message.ParseFromString(ReadFile(copy_.path())));
  for (v1::ConfigFile& file : *message.mutable_snapshot()->mutable_files()) {
    file.clear_digest();
    file.clear_size_bytes();
  }
  WriteFile(copy_.path(), message.SerializeAsString());
  EXPECT_TRUE(copy_.Read().ok());
}

TEST_F(DiskCopyTest, ATooLargeCopyIsRefused) {
  ScriptedVersion large = Two();
  large.files["large"] = std::string(kMaxBytes, 'x');
  ASSERT_TRUE(copy_.Write(*Received(large)).ok());
  EXPECT_EQ(copy_.Read().status().code(), absl::StatusCode::kResourceExhausted);
  // Without reading it.
  ASSERT_EQ(truncate(copy_.path().c_str(), off_t{1} << 40), 0);
  EXPECT_EQ(copy_.Read().status().code(), absl::StatusCode::kResourceExhausted);
}

TEST_F(DiskCopyTest, WhatIsNoFileIsRefusedAtOnce) {
  ASSERT_EQ(mkfifo(copy_.path().c_str(), 0600), 0);
  EXPECT_EQ(copy_.Read().status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(DiskCopyTest, ASourceThatLeadsElsewhereIsRefused) {
  const DiskCopy outside(directory_.Path("cache"), "../app", {}, kMaxBytes);
  EXPECT_EQ(outside.Write(*Received(Two())).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(outside.Read().status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(Names(), IsEmpty());
}

TEST_F(DiskCopyTest, AFailureNamesTheFileAndLeavesTheOldCopy) {
  ASSERT_TRUE(copy_.Write(*Received(Two())).ok());
  const std::string blocked = directory_.Path("blocked");
  WriteFile(blocked, "a file, not a directory");
  const absl::Status status = DiskCopy(blocked, "app", {}, kMaxBytes).Write(*Received(Two()));
  EXPECT_FALSE(status.ok());
  EXPECT_THAT(std::string(status.message()), HasSubstr(blocked));

  // A directory where the file should be cannot be replaced by it.
  const DiskCopy other(directory_.path(), "other", {}, kMaxBytes);
  WriteFile(other.path() + "/in-the-way", "");
  EXPECT_FALSE(other.Write(*Received(Two())).ok());
  EXPECT_EQ((*copy_.Read())->header.version(), 2);
  EXPECT_EQ(Names().size(), 3u);
}

}  // namespace
}  // namespace confstream
