#include "client/cpp/snapshot_assembler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/base/sha256.h"
#include "tests/fakes/scripted_config_service.h"

namespace confstream {
namespace {

using ::testing::HasSubstr;

// Feeds all messages; the answer to the last one, or the first error.
absl::StatusOr<std::shared_ptr<const ReceivedSnapshot>> TakeAll(
    SnapshotAssembler* assembler, const std::vector<v1::WatchResponse>& messages) {
  absl::StatusOr<std::shared_ptr<const ReceivedSnapshot>> taken(nullptr);
  for (const v1::WatchResponse& message : messages) {
    taken = assembler->Take(message);
    if (!taken.ok()) break;
  }
  return taken;
}

ScriptedVersion VersionWith(int64_t version, std::map<std::string, std::string> files) {
  ScriptedVersion scripted;
  scripted.version = version;
  scripted.files = std::move(files);
  return scripted;
}

TEST(SnapshotAssemblerTest, OneMessageIsAWholeSnapshot) {
  ScriptedVersion version = VersionWith(3, {{"a.yaml", "a: 1\n"}, {"b/c", ""}});
  version.skipped_versions = 2;
  version.missing_globs = {"x*"};
  SnapshotAssembler assembler;
  const auto taken = TakeAll(&assembler, SnapshotOf(version));
  ASSERT_TRUE(taken.ok()) << taken.status();
  const ReceivedSnapshot& snapshot = **taken;
  EXPECT_EQ(snapshot.header.version(), 3);
  EXPECT_EQ(snapshot.skipped_versions, 2);
  EXPECT_TRUE(snapshot.in_sync);
  EXPECT_EQ(snapshot.missing_globs, std::vector<std::string>{"x*"});
  ASSERT_EQ(snapshot.files.size(), 2u);
  EXPECT_EQ(*snapshot.Find("a.yaml")->content, "a: 1\n");
  EXPECT_EQ(*snapshot.Find("b/c")->content, "");
  EXPECT_EQ(snapshot.Find("b"), nullptr);
  EXPECT_EQ(assembler.resume_token(), "token-e1-3");
}

TEST(SnapshotAssemblerTest, FragmentsOfEverySizeMakeTheSameSnapshot) {
  for (size_t bytes = 1; bytes <= 12; ++bytes) {
    ScriptedVersion version = VersionWith(1, {{"a", "0123456789"}, {"b", ""}, {"c", "xyz"}});
    version.fragment_bytes = bytes;
    SnapshotAssembler assembler;
    const std::vector<v1::WatchResponse> messages = SnapshotOf(version);
    for (size_t i = 0; i + 1 < messages.size(); ++i) {
      const auto taken = assembler.Take(messages[i]);
      ASSERT_TRUE(taken.ok()) << taken.status();
      EXPECT_EQ(*taken, nullptr);
      EXPECT_EQ(assembler.resume_token(), "") << "a token before the last fragment";
    }
    const auto taken = assembler.Take(messages.back());
    ASSERT_TRUE(taken.ok()) << taken.status();
    ASSERT_NE(*taken, nullptr);
    EXPECT_EQ(*(*taken)->Find("a")->content, "0123456789");
    EXPECT_EQ(*(*taken)->Find("c")->content, "xyz");
  }
}

TEST(SnapshotAssemblerTest, AStreamCutBetweenFragmentsKeepsWhatWasHeld) {
  SnapshotAssembler assembler;
  ASSERT_TRUE(TakeAll(&assembler, SnapshotOf(VersionWith(1, {{"a", "old"}}))).ok());
  ScriptedVersion next = VersionWith(2, {{"a", "newer"}});
  next.fragment_bytes = 2;
  ASSERT_TRUE(assembler.Take(SnapshotOf(next).front()).ok());
  EXPECT_EQ(assembler.resume_token(), "token-e1-1");

  assembler.BeginStream();
  const auto taken = TakeAll(&assembler, SnapshotOf(next));
  ASSERT_TRUE(taken.ok()) << taken.status();
  EXPECT_EQ(*(*taken)->Find("a")->content, "newer");
}

TEST(SnapshotAssemblerTest, DeltasChangeAddAndRemove) {
  const ScriptedVersion before = VersionWith(1, {{"a", "1"}, {"b", "1"}, {"c", "1"}});
  const ScriptedVersion after = VersionWith(4, {{"a", "1"}, {"b", "2"}, {"aa", "new"}});
  SnapshotAssembler assembler;
  ASSERT_TRUE(TakeAll(&assembler, SnapshotOf(before)).ok());
  const auto unchanged = assembler.held()->Find("a")->content;
  const auto taken = assembler.Take(DeltaOf(before, after));
  ASSERT_TRUE(taken.ok()) << taken.status();
  ASSERT_EQ((*taken)->files.size(), 3u);
  EXPECT_EQ((*taken)->Find("a")->content, unchanged);
  EXPECT_EQ(*(*taken)->Find("aa")->content, "new");
  EXPECT_EQ(*(*taken)->Find("b")->content, "2");
  EXPECT_EQ(assembler.resume_token(), "token-e1-4");
}

// A delta in three fragments, each with some of what was removed.
std::vector<v1::WatchResponse> SpreadDelta(const ScriptedVersion& before,
                                           const ScriptedVersion& after) {
  const v1::WatchResponse whole = DeltaOf(before, after);
  std::vector<v1::WatchResponse> fragments(3, whole);
  for (size_t i = 0; i < 3; ++i) {
    v1::Delta* const delta = fragments[i].mutable_delta();
    fragments[i].set_more_fragments(i < 2);
    fragments[i].set_in_sync(i == 2);
    if (i != 1) delta->clear_changed_files();
    delta->clear_removed_paths();
    for (int path = static_cast<int>(i); path < whole.delta().removed_paths_size(); path += 3) {
      delta->add_removed_paths(whole.delta().removed_paths(path));
    }
  }
  fragments[2].mutable_delta()->add_missing_globs("x*");
  return fragments;
}

TEST(SnapshotAssemblerTest, RemovalsMayComeOnAnyFragmentAndMissingGlobsOnTheLast) {
  const ScriptedVersion before =
      VersionWith(1, {{"a", "1"}, {"b", "1"}, {"c", "1"}, {"d", "1"}, {"e", "1"}});
  const ScriptedVersion after = VersionWith(2, {{"e", "2"}, {"f", "2"}});
  const std::vector<v1::WatchResponse> fragments = SpreadDelta(before, after);
  SnapshotAssembler assembler;
  ASSERT_TRUE(TakeAll(&assembler, SnapshotOf(before)).ok());
  ASSERT_TRUE(TakeAll(&assembler, {fragments[0], fragments[1]}).ok());
  EXPECT_EQ(assembler.held()->files.size(), 5u) << "nothing counts before the last fragment";
  const auto taken = assembler.Take(fragments[2]);
  ASSERT_TRUE(taken.ok()) << taken.status();
  ASSERT_EQ((*taken)->files.size(), 2u);
  EXPECT_EQ(*(*taken)->Find("e")->content, "2");
  EXPECT_EQ((*taken)->missing_globs, std::vector<std::string>{"x*"});

  assembler.BeginStream();
  ASSERT_TRUE(TakeAll(&assembler, SnapshotOf(before)).ok());
  ASSERT_TRUE(assembler.Take(fragments[0]).ok());
  assembler.BeginStream();  // the stream broke: its removals are forgotten
  const auto again = TakeAll(&assembler, {DeltaOf(before, VersionWith(3, before.files))});
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ((*again)->files.size(), 5u);
}

TEST(SnapshotAssemblerTest, ADeltaThatRemovesWhatIsNotThereIsRefused) {
  const ScriptedVersion held = VersionWith(1, {{"a", "1"}});
  SnapshotAssembler assembler;
  ASSERT_TRUE(TakeAll(&assembler, SnapshotOf(held)).ok());
  v1::WatchResponse delta = DeltaOf(held, VersionWith(2, {{"a", "2"}}));
  delta.mutable_delta()->add_removed_paths("b");
  const auto taken = assembler.Take(delta);
  EXPECT_EQ(taken.status().code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(taken.status().message()), HasSubstr("removes file `b`"));
}

TEST(SnapshotAssemblerTest, ADeltaAgainstAnotherVersionIsRefused) {
  const ScriptedVersion held = VersionWith(1, {{"a", "1"}});
  const ScriptedVersion base = VersionWith(2, {{"a", "2"}});
  SnapshotAssembler assembler;
  ASSERT_TRUE(TakeAll(&assembler, SnapshotOf(held)).ok());
  const auto taken = assembler.Take(DeltaOf(base, VersionWith(3, {{"a", "3"}})));
  EXPECT_EQ(taken.status().code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(taken.status().message()), HasSubstr("delta against version 2"));
  EXPECT_EQ(assembler.held()->header.version(), 1);
}

TEST(SnapshotAssemblerTest, HeartbeatsMoveTheTokenOn) {
  SnapshotAssembler assembler;
  ASSERT_TRUE(TakeAll(&assembler, SnapshotOf(VersionWith(1, {{"a", "1"}}))).ok());
  // A, B, A again: equal content under a later version.
  ASSERT_TRUE(assembler.Take(HeartbeatAt(VersionWith(3, {{"a", "1"}}), true)).ok());
  EXPECT_EQ(assembler.resume_token(), "token-e1-3");
  EXPECT_EQ(assembler.held()->header.version(), 3);
  EXPECT_EQ(*assembler.held()->Find("a")->content, "1");
}

TEST(SnapshotAssemblerTest, AStatusWithoutContentGivesNoToken) {
  SnapshotAssembler assembler;
  ASSERT_TRUE(assembler.Take(StatusAt(VersionWith(0, {}), {})).ok());
  ASSERT_TRUE(assembler.Take(StatusAt(VersionWith(7, {}), {})).ok());
  EXPECT_EQ(assembler.resume_token(), "");
  EXPECT_EQ(assembler.held(), nullptr);
}

TEST(SnapshotAssemblerTest, AnUnknownEventIsIgnoredButForItsHeader) {
  SnapshotAssembler assembler;
  ASSERT_TRUE(TakeAll(&assembler, SnapshotOf(VersionWith(1, {{"a", "1"}}))).ok());
  v1::WatchResponse message;
  *message.mutable_header() = HeaderOf(VersionWith(2, {{"a", "1"}}));
  // Event case 99 of a later version of the API: field 99, length-delimited, empty.
  ASSERT_TRUE(
      message.ParseFromString(message.SerializeAsString() + std::string("\x9a\x06\x00", 3)));
  const auto taken = assembler.Take(message);
  ASSERT_TRUE(taken.ok()) << taken.status();
  EXPECT_EQ(*taken, nullptr);
  EXPECT_EQ(assembler.resume_token(), "token-e1-2");
}

TEST(SnapshotAssemblerTest, AVersionThatDoesNotIncreaseIsRefusedWithinAStreamOnly) {
  const auto messages = SnapshotOf(VersionWith(5, {{"a", "1"}}));
  SnapshotAssembler assembler;
  ASSERT_TRUE(TakeAll(&assembler, messages).ok());
  EXPECT_EQ(TakeAll(&assembler, messages).status().code(), absl::StatusCode::kDataLoss);
  assembler.BeginStream();  // another server, which may be behind
  EXPECT_TRUE(TakeAll(&assembler, SnapshotOf(VersionWith(4, {{"a", "0"}}))).ok());
  ScriptedVersion other_epoch = VersionWith(1, {{"a", "2"}});
  other_epoch.epoch = "e2";
  EXPECT_TRUE(TakeAll(&assembler, SnapshotOf(other_epoch)).ok());
}

TEST(SnapshotAssemblerTest, AHeartbeatDoesNotGoBackEither) {
  SnapshotAssembler assembler;
  ASSERT_TRUE(TakeAll(&assembler, SnapshotOf(VersionWith(5, {{"a", "1"}}))).ok());
  ASSERT_TRUE(assembler.Take(HeartbeatAt(VersionWith(9, {}), true)).ok());
  EXPECT_EQ(TakeAll(&assembler, SnapshotOf(VersionWith(7, {{"a", "2"}}))).status().code(),
            absl::StatusCode::kDataLoss);
  EXPECT_EQ(assembler.Take(HeartbeatAt(VersionWith(8, {}), true)).status().code(),
            absl::StatusCode::kDataLoss);
  EXPECT_EQ(assembler.Take(HeartbeatAt(VersionWith(-1, {}), true)).status().code(),
            absl::StatusCode::kDataLoss);
  EXPECT_EQ(assembler.held()->header.version(), 9);
}

TEST(SnapshotAssemblerTest, AStreamWithoutATokenOwesTheContent) {
  const ScriptedVersion one = VersionWith(1, {{"a", "1"}}), two = VersionWith(2, {{"a", "2"}});
  SnapshotAssembler assembler;
  ASSERT_TRUE(TakeAll(&assembler, SnapshotOf(one)).ok());
  assembler.ForgetToken();
  assembler.BeginStream();
  EXPECT_EQ(assembler.Take(HeartbeatAt(two, true)).status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(assembler.Take(DeltaOf(one, two)).status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(assembler.resume_token(), "");
  EXPECT_TRUE(TakeAll(&assembler, SnapshotOf(two)).ok());
}

TEST(SnapshotAssemblerTest, NamesAreBoundedToo) {
  v1::WatchResponse message = SnapshotOf(VersionWith(1, {{"a", ""}})).front();
  message.set_more_fragments(true);
  SnapshotAssembler assembler(1000);
  absl::Status taken;
  for (int i = 0; i < 70 && taken.ok(); ++i) {
    message.mutable_snapshot()->mutable_files(0)->set_path(
        absl::StrCat(100 + i, std::string(1 << 20, 'x')));
    taken = assembler.Take(message).status();
  }
  EXPECT_EQ(taken.code(), absl::StatusCode::kResourceExhausted) << taken;
}

TEST(SnapshotAssemblerTest, MoreThanTheBoundIsRefused) {
  ScriptedVersion version = VersionWith(1, {{"a", std::string(60, 'x')}, {"b", "0123456789"}});
  SnapshotAssembler exact(70), one_less(69);
  EXPECT_TRUE(TakeAll(&exact, SnapshotOf(version)).ok());
  const auto taken = TakeAll(&one_less, SnapshotOf(version));
  EXPECT_EQ(taken.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(one_less.held(), nullptr);
}

// A lie in a message, and a word of the error that it must cause.
struct Lie {
  const char* name;
  const char* said;
  void (*tell)(std::vector<v1::WatchResponse>* messages);
};

class LyingServerTest : public ::testing::TestWithParam<Lie> {};

TEST_P(LyingServerTest, IsDataLossAndNothingIsTaken) {
  SnapshotAssembler assembler;
  ASSERT_TRUE(TakeAll(&assembler, SnapshotOf(VersionWith(1, {{"a", "held"}}))).ok());
  ScriptedVersion version = VersionWith(2, {{"a", "0123456789"}, {"b", "xyz"}});
  version.fragment_bytes = 4;
  std::vector<v1::WatchResponse> messages = SnapshotOf(version);
  ASSERT_EQ(messages.size(), 4u);
  GetParam().tell(&messages);
  const auto taken = TakeAll(&assembler, messages);
  EXPECT_EQ(taken.status().code(), absl::StatusCode::kDataLoss) << taken.status();
  EXPECT_THAT(std::string(taken.status().message()), HasSubstr(GetParam().said));
  EXPECT_EQ(*assembler.held()->Find("a")->content, "held");
}

v1::ConfigFile* FirstFile(v1::WatchResponse* message) {
  return message->mutable_snapshot()->mutable_files(0);
}

using Messages = std::vector<v1::WatchResponse>;

INSTANTIATE_TEST_SUITE_P(
    Lies, LyingServerTest,
    ::testing::Values(
        Lie{"OtherBytes", "have the digest",
            [](Messages* m) { FirstFile(&m->at(1))->set_content("4!67"); }},
        Lie{"OtherFileDigest", "something else",
            [](Messages* m) { FirstFile(&m->at(1))->set_digest("sha256:00"); }},
        Lie{"OtherViewDigest", "view digest",
            [](Messages* m) {
              for (auto& message : *m) message.mutable_snapshot()->set_view_digest("sha256:00");
            }},
        Lie{"ViewDigestChangesHalfway", "something else",
            [](Messages* m) { m->at(2).mutable_snapshot()->set_view_digest("sha256:00"); }},
        Lie{"FragmentLeftOut", "after byte 4", [](Messages* m) { m->erase(m->begin() + 1); }},
        Lie{"FragmentTwice", "after byte 4", [](Messages* m) { m->at(1) = m->at(0); }},
        Lie{"FirstFragmentLeftOut", "begins at byte 4", [](Messages* m) { m->erase(m->begin()); }},
        Lie{"EndsInsideAFile", "ends before its last byte",
            [](Messages* m) { m->at(1).set_more_fragments(false); }},
        Lie{"AnotherVersionBetween", "something else",
            [](Messages* m) { m->at(1).mutable_header()->set_version(3); }},
        Lie{"HeartbeatBetween", "another message",
            [](Messages* m) {
              m->insert(m->begin() + 1, HeartbeatAt(VersionWith(1, {{"a", "held"}}), false));
            }},
        Lie{"NoVersion", "begin at 1",
            [](Messages* m) { m->at(0).mutable_header()->set_version(0); }},
        Lie{"FilesOutOfOrder", "comes after",
            [](Messages* m) {
              auto* files = m->at(3).mutable_snapshot()->mutable_files();
              files->Mutable(0)->set_path("a");
              files->Mutable(0)->set_content("z");
              files->Mutable(0)->set_content_offset(0);
              m->erase(m->begin() + 2, m->begin() + 3);
              m->at(1).mutable_snapshot()->mutable_files(0)->set_content("456789");
            }},
        Lie{"LongerThanItsSize", "longer",
            [](Messages* m) { FirstFile(&m->at(1))->set_content("456789ABC"); }},
        Lie{"NegativeSize", "longer",
            [](Messages* m) { FirstFile(&m->at(0))->set_size_bytes(-1); }},
        Lie{"FileLeftOut", "view digest",
            [](Messages* m) {
              m->at(3).mutable_snapshot()->clear_files();
              m->at(2).mutable_snapshot()->mutable_files()->RemoveLast();
            }},
        Lie{"NoPath", "without a path", [](Messages* m) { FirstFile(&m->at(0))->clear_path(); }}),
    [](const auto& param_info) { return std::string(param_info.param.name); });

TEST(SnapshotAssemblerTest, InSyncWithoutEverHavingSentContentIsRefused) {
  SnapshotAssembler assembler;
  const auto taken = assembler.Take(HeartbeatAt(VersionWith(2, {{"a", "1"}}), true));
  EXPECT_EQ(taken.status().code(), absl::StatusCode::kDataLoss);
}

}  // namespace
}  // namespace confstream
