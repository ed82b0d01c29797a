#include "server/publish/source_log.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"

namespace confstream {
namespace {

// Of more, the status tells.
constexpr size_t kLoggedViolations = 10;

absl::string_view WordsFor(PinEnd::Reason reason) {
  switch (reason) {
    case PinEnd::kNewContent:
      return "the files have got new valid content";
    case PinEnd::kUnpinned:
      return "an operator asked for it";
    case PinEnd::kExpired:
      return "it expired";
  }
  return "";
}

}  // namespace

void SourceLog::Restored(const Snapshot& snapshot) const {
  log_->Info("restored",
             {{"source", source_}, {"version", snapshot.version}, {"epoch", snapshot.epoch}});
}

void SourceLog::Published(const Snapshot& snapshot) const {
  const std::string origin = snapshot.origin == SnapshotOrigin::kRollback
                                 ? absl::StrCat("rollback of ", snapshot.rolled_back_to)
                                 : std::string("files");
  journal_->Note(SourceEvent::kVersion,
                 absl::StrCat("published, ", snapshot.files.size(), " files, from ", origin),
                 snapshot.version);
  log_->Info("published",
             {{"source", source_},
              {"version", snapshot.version},
              {"digest", sensitive_ ? std::string("not shown") : snapshot.digest.Text()},
              {"origin", origin},
              {"files", static_cast<int64_t>(snapshot.files.size())}});
}

void SourceLog::Unchanged(int64_t version) const {
  journal_->Note(SourceEvent::kRead, "found equal to what is served: nothing to do", version);
}

void SourceLog::HeldOff() const {
  journal_->Note(SourceEvent::kVersion, "valid, but held off by the pin: nothing is published");
}

void SourceLog::Refused(const std::vector<Violation>& violations, int64_t total) const {
  journal_->Note(SourceEvent::kVerdict,
                 absl::StrCat("refused for ", total, total == 1 ? " reason: " : " reasons, first: ",
                              TextOf(violations.front())));
}

void SourceLog::Stalled() const {
  journal_->Note(SourceEvent::kRead, "the file system does not answer");
}

void SourceLog::Pinned(const Pin& pin, bool renewed) const {
  const char* const what = renewed ? "pin renewed" : "pinned";
  log_->Warning(what,
                {{"source", source_}, {"pinned_version", pin.version}, {"reason", pin.reason}});
  journal_->Note(SourceEvent::kVersion, absl::StrCat(what, ", to version ", pin.version));
}

void SourceLog::PinEnded(const PinEnd& end) const {
  const absl::string_view why = WordsFor(end.reason);
  log_->Info("unpinned", {{"source", source_}, {"pinned_version", end.version}, {"reason", why}});
  journal_->Note(SourceEvent::kVersion, absl::StrCat("the pin ended: ", why));
}

void SourceLog::SchemasLoaded() const {
  log_->Info("schemas loaded", {{"source", source_}});
  journal_->Note(SourceEvent::kVerdict, "the schema files have changed, and are in use");
}

void SourceLog::SchemasNotLoaded(absl::string_view why) const {
  log_->Error("schemas not loaded, the old ones stay", {{"source", source_}, {"reason", why}});
  journal_->Note(SourceEvent::kVerdict,
                 absl::StrCat("the schema files have changed, the old schemas stay: ",
                              absl::StrReplaceAll(why, {{"\n", "; "}})));
}

void SourceLog::MountWithoutUpdates(absl::string_view why) const {
  log_->Warning("mount without updates", {{"source", source_}, {"reason", why}});
}

void SourceLog::Condition(const SourceState* before, const SourceState& now) const {
  const SourceStatus& status = now.status;
  if (before != nullptr && before->status.violations == status.violations &&
      before->status.violations_total == status.violations_total) {
    return;
  }
  if (status.violations_total == 0) {
    if (before != nullptr && before->status.violations_total > 0 &&
        before->status.violations.front().rule != kNotReadRule) {
      log_->Info("content is valid again", {{"source", source_}});
    }
    return;
  }
  const int64_t served = now.snapshot == nullptr ? 0 : now.snapshot->version;
  for (size_t i = 0; i < std::min(status.violations.size(), kLoggedViolations); ++i) {
    const Violation& violation = status.violations[i];
    log_->Warning("refused", {{"source", source_},
                              {"path", violation.path},
                              {"line", violation.line},
                              {"column", violation.column},
                              {"rule", violation.rule},
                              {"reason", TextOf(violation)},
                              {"violations", status.violations_total},
                              {"served_version", served}});
  }
}

}  // namespace confstream
