// The client's assembler against any server. The input, a message a line, in words:
//   s | d | h | t | n      a snapshot, a delta, a heartbeat, a status; n: a new stream begins
//   vN eN bN               version, epoch, base version: a digit
//   +                      more fragments follow
//   PATH=CONTENT           a file; PATH=CONTENT@FROM-TO: a part of it, two digits
//   -PATH                  it is removed
//   !                      the next file has a wrong digest
//   ?                      the view digest is wrong
//   ~                      in sync

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "client/cpp/snapshot_assembler.h"
#include "server/base/sha256.h"
#include "tests/fuzz/fuzzing.h"
#include "tests/fuzz/sha256sum_text.h"

namespace confstream {
namespace {

constexpr int64_t kMaxBytes = 64;

using Files = std::map<std::string, std::string>;

std::string ViewDigestOf(const Files& files) { return Sha256::Of(Sha256sumText(files)).Text(); }

// One line.
struct Line {
  v1::WatchResponse message;
  bool begins_stream = false;
  bool wrong_digest = false;
  Files files;  // whole, whatever part of them the message has
  std::set<std::string> removed;
};

int64_t DigitAt(absl::string_view word, size_t at) {
  return word.size() > at && absl::ascii_isdigit(word[at]) ? word[at] - '0' : 0;
}

class LineReader {
 public:
  Line Read(absl::string_view text) {
    for (const absl::string_view word : absl::StrSplit(text, ' ', absl::SkipEmpty())) Take(word);
    return std::move(line_);
  }

 private:
  void Take(absl::string_view word) {
    v1::WatchResponse& message = line_.message;
    const size_t equals = word.find('=');
    if (equals != absl::string_view::npos) {
      TakeFile(std::string(word.substr(0, equals)), word.substr(equals + 1));
    } else if (word == "s") {
      message.mutable_snapshot();
    } else if (word == "d") {
      message.mutable_delta();
    } else if (word == "h") {
      message.mutable_heartbeat();
    } else if (word == "t") {
      message.mutable_source_status();
    } else if (word == "n") {
      line_.begins_stream = true;
    } else if (word == "+") {
      message.set_more_fragments(true);
    } else if (word == "!") {
      wrong_file_ = true;
    } else if (word == "?") {
      line_.wrong_digest = true;
    } else if (word == "~") {
      message.set_in_sync(true);
    } else if (word[0] == 'v') {
      message.mutable_header()->set_version(DigitAt(word, 1));
    } else if (word[0] == 'e') {
      message.mutable_header()->set_epoch(std::string(word));
    } else if (word[0] == 'b' && message.has_delta()) {
      message.mutable_delta()->set_base_version(DigitAt(word, 1));
    } else if (word[0] == '-' && message.has_delta()) {
      message.mutable_delta()->add_removed_paths(std::string(word.substr(1)));
      line_.removed.emplace(word.substr(1));
    }
  }

  void TakeFile(const std::string& path, absl::string_view content) {
    if (!line_.message.has_snapshot() && !line_.message.has_delta()) return;
    const size_t at = content.rfind('@');
    const std::string whole(content.substr(0, at));
    size_t from = 0;
    size_t to = whole.size();
    if (at != absl::string_view::npos) {
      from = std::min(static_cast<size_t>(DigitAt(content, at + 1)), whole.size());
      to = std::clamp(static_cast<size_t>(DigitAt(content, at + 3)), from, whole.size());
    }
    v1::ConfigFile* file = line_.message.has_delta()
                               ? line_.message.mutable_delta()->add_changed_files()
                               : line_.message.mutable_snapshot()->add_files();
    file->set_path(path);
    file->set_content(whole.substr(from, to - from));
    file->set_content_offset(static_cast<int64_t>(from));
    file->set_size_bytes(static_cast<int64_t>(whole.size()));
    file->set_digest(Sha256::Of(std::exchange(wrong_file_, false) ? "wrong" : whole).Text());
    line_.files[path] = whole;
  }

  Line line_;
  bool wrong_file_ = false;
};

// Feeds the lines, with the view digest that is right unless a line says otherwise.
class Server {
 public:
  void Run(std::vector<Line> lines) {
    for (size_t begin = 0; begin < lines.size();) {
      size_t end = begin;
      while (end + 1 < lines.size() && lines[end].message.more_fragments()) ++end;
      SetDigests(&lines, begin, end);
      for (; begin <= end; ++begin) Send(lines[begin]);
    }
  }

 private:
  // What the lines of one version lead to.
  void SetDigests(std::vector<Line>* lines, size_t begin, size_t end) {
    promised_.clear();
    if ((*lines)[begin].message.has_delta()) promised_ = held_;
    for (size_t i = begin; i <= end; ++i) {
      for (const std::string& path : (*lines)[i].removed) promised_.erase(path);
    }
    for (size_t i = begin; i <= end; ++i) {
      for (const auto& [path, bytes] : (*lines)[i].files) promised_[path] = bytes;
    }
    for (size_t i = begin; i <= end; ++i) {
      Line& line = (*lines)[i];
      const std::string digest = line.wrong_digest ? "wrong" : ViewDigestOf(promised_);
      if (line.message.has_snapshot()) line.message.mutable_snapshot()->set_view_digest(digest);
      if (line.message.has_delta()) line.message.mutable_delta()->set_view_digest(digest);
      v1::ResponseHeader* header = line.message.mutable_header();
      header->set_resume_token(absl::StrCat("token ", header->version()));
    }
  }

  void Send(const Line& line) {
    if (line.begins_stream) BeginStream();
    const auto held_before = assembler_.held();
    const std::string token_before = assembler_.resume_token();
    const auto taken = assembler_.Take(line.message);
    if (!taken.ok()) {
      RequirePrintable(taken.status().message());
      Require(assembler_.held() == held_before && assembler_.resume_token() == token_before,
              "what is wrong changes nothing");
      assembler_.ForgetToken();
      BeginStream();
    } else if (*taken != nullptr) {
      RequireRight(line, **taken);
    } else if (held_before == nullptr) {
      Require(assembler_.held() == nullptr && assembler_.resume_token().empty(),
              "without content there is no token");
    } else {
      Require(assembler_.held()->files.size() == held_before->files.size(),
              "only a whole version changes the files");
      FollowHeader(line.message);
    }
  }

  void RequireRight(const Line& line, const ReceivedSnapshot& snapshot) {
    Require(assembler_.held().get() == &snapshot, "a complete snapshot is held");
    Require(!line.message.more_fragments() && !line.wrong_digest, "only what is right is taken");
    Files files;
    int64_t bytes = 0;
    for (const ReceivedFile& file : snapshot.files) {
      Require(files.empty() || files.rbegin()->first < file.path, "files are in order and once");
      Require(Sha256::Of(*file.content) == file.digest, "every file has its digest");
      files[file.path] = *file.content;
      bytes += static_cast<int64_t>(file.content->size());
    }
    Require(files == promised_, "the files are those that were sent");
    Require(ViewDigestOf(files) == snapshot.view_digest, "the view digest is right");
    Require(bytes <= kMaxBytes, "memory is bounded");
    const v1::ResponseHeader& header = snapshot.header;
    Require(header.version() >= 1, "versions begin at 1");
    Require(header.epoch() != epoch_ || header.version() > version_, "versions increase");
    Require(assembler_.resume_token() == header.resume_token(), "the token is the snapshot's");
    epoch_ = header.epoch();
    version_ = header.version();
    held_ = std::move(files);
  }

  // A message without content, which moves on what is held if the server knows that on this stream.
  void FollowHeader(const v1::WatchResponse& message) {
    const v1::ResponseHeader& header = message.header();
    const bool content = message.has_snapshot() || message.has_delta();
    if (content || header.version() == 0 || assembler_.resume_token().empty()) return;
    Require(header.epoch() != epoch_ || header.version() >= version_, "versions do not go back");
    epoch_ = header.epoch();
    version_ = header.version();
  }

  void BeginStream() {
    assembler_.BeginStream();
    epoch_.clear();
    version_ = 0;
  }

  SnapshotAssembler assembler_{kMaxBytes};
  Files promised_;
  Files held_;
  std::string epoch_;  // of this stream
  int64_t version_ = 0;
};

void Run(absl::string_view input) {
  std::vector<Line> lines;
  for (const absl::string_view text : absl::StrSplit(input, '\n')) {
    if (lines.size() == 50) break;
    // Protobuf lets nothing else into a string.
    if (IsValidUtf8(text)) lines.push_back(LineReader().Read(text));
  }
  Server().Run(std::move(lines));
}

}  // namespace
}  // namespace confstream

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  confstream::Run(confstream::AsText(data, size));
  return 0;
}
