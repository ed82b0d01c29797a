// Whatever is edited: deltas and resumed streams lead to the same files as the snapshot itself.

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <random>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/fanout/watch_hub.h"
#include "tests/fakes/client_copy.h"
#include "tests/fakes/counting_subscriber.h"
#include "tests/fakes/fake_clock.h"
#include "tests/fakes/fake_history.h"
#include "tests/fakes/received_message.h"

namespace confstream {
namespace {

constexpr int kSequences = 1000;
constexpr int64_t kVersions = 7;

// Globs, and what they select in words of their own.
struct Selection {
  std::vector<std::string> globs;
  std::function<bool(const std::string&)> selects;
};

const std::vector<Selection>& Selections() {
  static const auto* const selections = new std::vector<Selection>{
      {{}, [](const std::string&) { return true; }},
      {{"*.yaml"},
       [](const std::string& path) {
         return absl::EndsWith(path, ".yaml") && path.find('/') == std::string::npos;
       }},
      {{"dir/**", "nothing"},
       [](const std::string& path) { return absl::StartsWith(path, "dir/"); }},
  };
  return *selections;
}

// A history of random versions, and streams that follow or resume it.
class EditSequence {
 public:
  explicit EditSequence(uint32_t seed)
      : random_(seed), selection_(Selections()[seed % Selections().size()]) {
    hub_.Update(WaitingState());
    files_ = {{"a.yaml", "start"}, {"dir/b.yaml", "start"}, {"c", "start"}};
  }

  void Run() {
    Stream follower = Open(nullptr, false);
    Stream cursor;
    for (int64_t version = 1; version <= kVersions; ++version) {
      if (version > 1) Edit();
      Publish(version);
      if (version == 1) {
        cursor = Open(nullptr, true);
        Drain(&cursor);
      }
      // Some versions pass while a stream is slow.
      if (Chance(60)) Drain(&follower);
      if (Chance(30)) Drain(&cursor);
    }
    for (Stream* stream : {&follower, &cursor}) {
      Drain(stream);
      ExpectNewest(*stream);
      Close(stream);
    }
    EXPECT_EQ(cursor.seen, Changes(1)) << "every version that changed the view, in order";
    if (Chance(30)) history_->DropUpTo(Number(kVersions - 1));
    for (int64_t version = 1; version <= kVersions; ++version) {
      for (const bool every_version : {false, true}) ResumeFrom(version, every_version);
    }
  }

  int64_t deltas() const { return deltas_; }
  int64_t snapshots() const { return snapshots_; }

 private:
  struct Stream {
    std::shared_ptr<CountingSubscriber> subscriber;
    std::unique_ptr<WatchSession> session;
    ClientCopy copy;
    std::vector<int64_t> seen;  // versions that came as content
  };

  int64_t Number(int64_t most) { return std::uniform_int_distribution<int64_t>(1, most)(random_); }
  bool Chance(int percent) { return Number(100) <= percent; }

  std::string RandomContent() {
    if (Chance(2)) {
      std::string large(static_cast<size_t>((1 << 20) - 700 + Number(600'000)), '\0');
      for (size_t i = 0; i < large.size(); i += 64) large[i] = static_cast<char>(random_());
      return large;
    }
    std::string content(static_cast<size_t>(Number(200) - 1), '\0');
    for (char& c : content) c = static_cast<char>(random_());
    return content;
  }
  std::string RandomPath() {
    static constexpr const char* kFolders[] = {"", "", "dir/", "dir/sub/", "other/"};
    static constexpr const char* kEndings[] = {"", ".yaml", ".json"};
    return absl::StrCat(kFolders[Number(5) - 1], "f", Number(6), kEndings[Number(3) - 1]);
  }

  void Edit() {
    for (int64_t edits = Number(4); edits > 0; --edits) {
      auto any = files_.begin();
      if (!files_.empty()) std::advance(any, Number(static_cast<int64_t>(files_.size())) - 1);
      const int64_t kind = Number(10);
      if (kind <= 3 || files_.empty()) {
        files_[RandomPath()] = RandomContent();
      } else if (kind <= 6) {
        any->second = RandomContent();
      } else if (kind <= 8) {
        files_.erase(any);
      } else if (kind == 9) {  // renamed
        std::string content = std::move(any->second);
        files_.erase(any);
        files_[RandomPath()] = std::move(content);
      } else if (published_.size() > 1) {  // back to what it was before
        files_ = published_[Number(static_cast<int64_t>(published_.size()))];
      }
    }
  }

  void Publish(int64_t version) {
    const auto snapshot = MakeSnapshot(version, files_);
    published_[version] = files_;
    const View view = *View::Parse(selection_.globs);
    tokens_[version] = ViewSnapshot(snapshot, view, nullptr).position()->token;
    history_->Add(snapshot);
    hub_.Update(ServingState(snapshot, history_));
  }

  Files Selected(int64_t version) const {
    Files selected;
    for (const auto& [path, content] : published_.at(version)) {
      if (selection_.selects(path)) selected.emplace(path, content);
    }
    return selected;
  }
  // `first`, and the later versions in which the selected files changed.
  std::vector<int64_t> Changes(int64_t first) const {
    std::vector<int64_t> changes = {first};
    for (int64_t version = first + 1; version <= kVersions; ++version) {
      if (Selected(version) != Selected(version - 1)) changes.push_back(version);
    }
    return changes;
  }

  Stream Open(const ResumeToken* token, bool every_version) {
    WatchSpec spec;
    spec.source = "app";
    spec.view = *View::Parse(selection_.globs);
    spec.deltas = true;
    spec.every_version = every_version;
    spec.resumes = token != nullptr;
    if (token != nullptr) spec.token = *token;
    Stream stream;
    stream.subscriber = std::make_shared<CountingSubscriber>();
    auto session = hub_.Open(std::move(spec), stream.subscriber);
    EXPECT_TRUE(session.ok());
    stream.session = *std::move(session);
    return stream;
  }
  void Drain(Stream* stream) {
    while (auto message = stream->session->Next(clock_.Now())) {
      const v1::WatchResponse response = Receive(*message);
      for (const auto& part : message->shared) EXPECT_LT(part->size(), size_t{9} << 17);
      stream->copy.Take(response);
      if (!response.more_fragments() && (response.has_snapshot() || response.has_delta())) {
        stream->seen.push_back(response.header().version());
      }
    }
  }
  void ExpectNewest(const Stream& stream) {
    EXPECT_FALSE(stream.session->end().has_value());
    EXPECT_TRUE(stream.copy.files() == Selected(kVersions));
    deltas_ += stream.copy.deltas();
    snapshots_ += stream.copy.snapshots();
  }
  void Close(Stream* stream) { hub_.Close(*stream->session, stream->subscriber.get()); }

  void ResumeFrom(int64_t version, bool every_version) {
    Stream stream = Open(&tokens_.at(version), every_version);
    stream.copy = ClientCopy(version, Selected(version));
    Drain(&stream);
    if (every_version && version < history_->dropped_up_to()) {
      EXPECT_EQ(stream.session->end()->code(), absl::StatusCode::kOutOfRange);
      EXPECT_TRUE(stream.seen.empty());
    } else {
      ExpectNewest(stream);
      if (every_version) {
        stream.seen.insert(stream.seen.begin(), version);
        EXPECT_EQ(stream.seen, Changes(version));
      } else {
        EXPECT_LE(stream.seen.size(), 1u) << "the newest at once";
      }
    }
    Close(&stream);
  }

  std::mt19937 random_;
  const Selection& selection_;
  FakeClock clock_;
  WatchHub hub_{&clock_, {100, 100, int64_t{16} << 20}};
  const std::shared_ptr<FakeHistory> history_ = std::make_shared<FakeHistory>();
  Files files_;
  std::map<int64_t, Files> published_;
  std::map<int64_t, ResumeToken> tokens_;
  int64_t deltas_ = 0;
  int64_t snapshots_ = 0;
};

TEST(WatchDeltaPropertyTest, AfterAThousandRandomEditSequencesEveryStreamHoldsTheSnapshot) {
  int64_t deltas = 0;
  int64_t snapshots = 0;
  for (uint32_t seed = 1; seed <= kSequences; ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    EditSequence sequence(seed);
    sequence.Run();
    deltas += sequence.deltas();
    snapshots += sequence.snapshots();
    if (HasFailure()) break;
  }
  EXPECT_GT(deltas, 10 * kSequences);
  EXPECT_GT(snapshots, kSequences);
}

}  // namespace
}  // namespace confstream
