#include "client/cli/watch_printers.h"

#include <set>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/cli/display.h"
#include "client/cli/file_diff.h"

namespace confstream {
namespace {

std::optional<absl::string_view> ContentOf(const ReceivedFile* file) {
  if (file == nullptr) return std::nullopt;
  return absl::string_view(*file->content);
}

}  // namespace

void DiffPrinter::OnSnapshot(const std::shared_ptr<const ReceivedSnapshot>& snapshot) {
  const v1::ResponseHeader& header = snapshot->header;
  std::string line = absl::StrCat(LocalTime(absl::Now()), "  ", SafeForTerminal(header.source()),
                                  "  version ", header.version(), "  ",
                                  ShortDigest(header.digest()), "  ", ShortName(snapshot->reason));
  if (header.origin() == v1::SNAPSHOT_ORIGIN_ROLLBACK) {
    absl::StrAppend(&line, "  ", OriginText(header));
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
  if (pin_.has_value() && !status.has_pin()) {
    *console_.out << "  the pin has ended" << PinEndText(status.pin_end().reason()) << ": "
                  << SafeForTerminal(header.source()) << " was " << PinText(*pin_) << "\n";
  }
  pin_ = status.has_pin() ? std::optional<v1::Pin>(status.pin()) : std::nullopt;
  for (const std::string& remark : Remarks(header.source(), status)) {
    *console_.out << "  " << remark << "\n";
  }
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
    PrintFileDiff(path, ContentOf(old_file), ContentOf(new_file), console_);
  }
  if (!changed) *console_.out << "  the content is the same\n";
}

void EventPrinter::OnConnected(const std::string& watch_id) {
  PrintEvent({{"type", "connected"}, {"watch_id", watch_id}}, format_, console_);
}

void EventPrinter::OnSnapshot(const std::shared_ptr<const ReceivedSnapshot>& snapshot) {
  Json event = {{"type", "snapshot"},
                {"reason", ShortName(snapshot->reason)},
                {"in_sync", snapshot->in_sync},
                {"skipped_versions", snapshot->skipped_versions}};
  AddSnapshot(&event, *snapshot);
  PrintEvent(event, format_, console_);
}

void EventPrinter::OnStatus(const v1::ResponseHeader& header, const v1::SourceStatus& status) {
  Json event = {{"type", "status"}};
  AddHeader(&event, header);
  AddStatus(&event, status);
  PrintEvent(event, format_, console_);
}

void EventPrinter::OnHeartbeat(const v1::ResponseHeader& header, bool in_sync) {
  Json event = {{"type", "heartbeat"}, {"in_sync", in_sync}};
  AddHeader(&event, header);
  PrintEvent(event, format_, console_);
}

void EventPrinter::OnStale(absl::Duration silence) {
  PrintEvent({{"type", "stale"}, {"silence_ms", absl::ToInt64Milliseconds(silence)}}, format_,
             console_);
}

void EventPrinter::OnDisconnected(const absl::Status& why, absl::Duration retry_in) {
  PrintEvent({{"type", "disconnected"},
              {"error", ToJson(why)},
              {"retry_in_ms", absl::ToInt64Milliseconds(retry_in)}},
             format_, console_);
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
