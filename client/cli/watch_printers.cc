#include "client/cli/watch_printers.h"

#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/cli/display.h"
#include "client/cli/unified_diff.h"
#include "server/base/text.h"

namespace confstream {
namespace {

bool IsText(absl::string_view content) {
  return IsValidUtf8(content) && !absl::StrContains(content, '\0');
}

std::string HunkHeader(const DiffHunk& hunk) {
  // As diff(1) counts: lines from 1, an empty range by the line before it.
  const auto range = [](size_t begin, size_t count) {
    const size_t first = count == 0 ? begin : begin + 1;
    return count == 1 ? absl::StrCat(first) : absl::StrCat(first, ",", count);
  };
  return absl::StrCat("@@ -", range(hunk.before_begin, hunk.before_count), " +",
                      range(hunk.after_begin, hunk.after_count), " @@");
}

}  // namespace

void DiffPrinter::OnSnapshot(const std::shared_ptr<const ReceivedSnapshot>& snapshot) {
  const v1::ResponseHeader& header = snapshot->header;
  std::string line = absl::StrCat(LocalTime(absl::Now()), "  ", SafeForTerminal(header.source()),
                                  "  version ", header.version(), "  ",
                                  ShortDigest(header.digest()), "  ", ShortName(snapshot->reason));
  if (header.origin() == v1::SNAPSHOT_ORIGIN_ROLLBACK) {
    absl::StrAppend(&line, "  rolled back to ", header.rolled_back_to());
  }
  if (snapshot->skipped_versions > 0) {
    absl::StrAppend(&line, "  skipped ", snapshot->skipped_versions);
  }
  *console_.out << console_.Paint(Color::kBold, line) << "\n";
  for (const std::string& glob : snapshot->missing_globs) {
    *console_.out << "no file matches `" << SafeForTerminal(glob) << "`\n";
  }
  if (last_ == nullptr) {
    PrintFiles(*snapshot);
  } else {
    PrintChanges(*last_, *snapshot);
  }
  last_ = snapshot;
}

void DiffPrinter::OnStatus(const v1::ResponseHeader& header, const v1::SourceStatus& status) {
  std::string line =
      absl::StrCat(LocalTime(absl::Now()), "  ", SafeForTerminal(header.source()), "  ",
                   console_.Paint(ColorOf(status.state()), ShortName(status.state())));
  if (status.served_version() > 0) {
    absl::StrAppend(&line, "  serving version ", status.served_version());
  } else {
    absl::StrAppend(&line, "  serving nothing yet");
  }
  if (status.violations_total() > 0) {
    absl::StrAppend(&line, "  ", status.violations_total(), " violation",
                    status.violations_total() == 1 ? "" : "s");
  }
  *console_.out << line << "\n";
  for (const v1::Violation& violation : status.violations()) {
    *console_.out << "  " << ViolationText(violation) << "\n";
  }
}

void DiffPrinter::PrintFiles(const ReceivedSnapshot& snapshot) {
  for (const ReceivedFile& file : snapshot.files) {
    *console_.out << "  " << SafeForTerminal(file.path) << "  "
                  << console_.Paint(Color::kDim,
                                    HumanBytes(static_cast<int64_t>(file.content->size())))
                  << "\n";
  }
}

void DiffPrinter::PrintChanges(const ReceivedSnapshot& before, const ReceivedSnapshot& after) {
  std::set<std::string> paths;
  for (const ReceivedFile& file : before.files) paths.insert(file.path);
  for (const ReceivedFile& file : after.files) paths.insert(file.path);
  bool changed = false;
  for (const std::string& path : paths) {
    const ReceivedFile* const old_file = before.Find(path);
    const ReceivedFile* const new_file = after.Find(path);
    if (old_file != nullptr && new_file != nullptr && old_file->digest == new_file->digest)
      continue;
    changed = true;
    PrintChange(path, old_file, new_file);
  }
  if (!changed) *console_.out << "  the content is the same\n";
}

void DiffPrinter::PrintChange(const std::string& path, const ReceivedFile* before,
                              const ReceivedFile* after) {
  const absl::string_view old_text =
      before == nullptr ? absl::string_view() : absl::string_view(*before->content);
  const absl::string_view new_text =
      after == nullptr ? absl::string_view() : absl::string_view(*after->content);
  const std::string shown = SafeForTerminal(path);
  const std::string old_name = before == nullptr ? "/dev/null" : absl::StrCat("a/", shown);
  const std::string new_name = after == nullptr ? "/dev/null" : absl::StrCat("b/", shown);
  if (!IsText(old_text) || !IsText(new_text)) {
    *console_.out << "Binary files " << old_name << " and " << new_name << " differ ("
                  << HumanBytes(static_cast<int64_t>(old_text.size())) << " -> "
                  << HumanBytes(static_cast<int64_t>(new_text.size())) << ")\n";
    return;
  }
  *console_.out << console_.Paint(Color::kBold, absl::StrCat("--- ", old_name)) << "\n"
                << console_.Paint(Color::kBold, absl::StrCat("+++ ", new_name)) << "\n";
  for (const DiffHunk& hunk : Diff(old_text, new_text)) {
    *console_.out << console_.Paint(Color::kCyan, HunkHeader(hunk)) << "\n";
    for (const DiffLine& line : hunk.lines) {
      const bool added = line.kind == DiffLine::Kind::kAdded;
      const bool common = line.kind == DiffLine::Kind::kCommon;
      absl::string_view text = line.text;
      const bool ended = absl::ConsumeSuffix(&text, "\n");
      const Color color = common ? Color::kNone : added ? Color::kGreen : Color::kRed;
      *console_.out << console_.Paint(color, absl::StrCat(common  ? " "
                                                          : added ? "+"
                                                                  : "-",
                                                          SafeForTerminal(text)))
                    << "\n";
      if (!ended) *console_.out << "\\ No newline at end of file\n";
    }
  }
}

void EventPrinter::OnConnected(const std::string& watch_id) {
  Print({{"type", "connected"}, {"watch_id", watch_id}});
}

void EventPrinter::OnSnapshot(const std::shared_ptr<const ReceivedSnapshot>& snapshot) {
  Json event = {{"type", "snapshot"},
                {"reason", ShortName(snapshot->reason)},
                {"in_sync", snapshot->in_sync},
                {"skipped_versions", snapshot->skipped_versions}};
  AddSnapshot(&event, *snapshot);
  Print(event);
}

void EventPrinter::OnStatus(const v1::ResponseHeader& header, const v1::SourceStatus& status) {
  Json event = {{"type", "status"}};
  AddHeader(&event, header);
  AddStatus(&event, status);
  Print(event);
}

void EventPrinter::OnHeartbeat(const v1::ResponseHeader& header, bool in_sync) {
  Json event = {{"type", "heartbeat"}, {"in_sync", in_sync}};
  AddHeader(&event, header);
  Print(event);
}

void EventPrinter::OnStale(absl::Duration silence) {
  Print({{"type", "stale"}, {"silence_ms", absl::ToInt64Milliseconds(silence)}});
}

void EventPrinter::OnDisconnected(const absl::Status& why, absl::Duration retry_in) {
  Print({{"type", "disconnected"},
         {"error", ToJson(why)},
         {"retry_in_ms", absl::ToInt64Milliseconds(retry_in)}});
}

void EventPrinter::Print(const Json& event) {
  Json timed = {{"type", event["type"]},
                {"time", UtcTime(absl::FromUnixMillis(absl::ToUnixMillis(absl::Now())))}};
  timed.update(event);
  if (format_ == OutputFormat::kJson) {
    *console_.out << JsonLine(timed) << "\n";
  } else {
    *console_.out << "---\n" << YamlText(timed);
  }
}

void RawPrinter::OnSnapshot(const std::shared_ptr<const ReceivedSnapshot>& snapshot) {
  if (snapshot->files.size() != 1) {
    console_.Say(absl::StrCat(
        "version ", snapshot->header.version(), " has ", snapshot->files.size(),
        " files that match; --output raw prints one, so nothing is printed for this version"));
    last_ = nullptr;
    return;
  }
  const std::shared_ptr<const std::string>& content = snapshot->files.front().content;
  if (last_ != nullptr && *last_ == *content) return;
  *console_.out << *content;
  last_ = content;
}

std::unique_ptr<WatchObserver> MakeWatchPrinter(OutputFormat format, const Console& console) {
  switch (format) {
    case OutputFormat::kJson:
    case OutputFormat::kYaml:
      return std::make_unique<EventPrinter>(format, console);
    case OutputFormat::kRaw:
      return std::make_unique<RawPrinter>(console);
    case OutputFormat::kTable:
      break;
  }
  return std::make_unique<DiffPrinter>(console);
}

}  // namespace confstream
