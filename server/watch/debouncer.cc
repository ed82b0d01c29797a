#include "server/watch/debouncer.h"

#include <algorithm>
#include <utility>

namespace confstream {

void Debouncer::NoteChange(Instant now) {
  if (!pending_.has_value()) pending_ = Pending{now, now};
  pending_->last = std::max(pending_->last, now);
}

void Debouncer::NoteWriting(const std::string& file, Instant now) {
  being_written_.insert(file);
  NoteChange(now);
}

std::optional<Debouncer::Due> Debouncer::Next() const {
  if (commit_.has_value()) return Due{Instant(), ReadCause::kCommit, commit_};
  if (pending_.has_value()) {
    const Instant quiet = being_written_.empty() ? pending_->last + settle_ : Instant::Infinite();
    if (quiet <= Deadline()) return Due{quiet, ReadCause::kSettled, std::nullopt};
    return AtLatest();
  }
  if (recheck_) return Due{Instant(), ReadCause::kRecheck, std::nullopt};
  return std::nullopt;
}

std::optional<Debouncer::Due> Debouncer::AtLatest() const {
  if (!pending_.has_value()) return std::nullopt;
  return Due{Deadline(), ReadCause::kForced, std::nullopt};
}

void Debouncer::ReadingBegins() {
  const std::optional<Due> due = Next();
  // A file that was still open at the deadline is not waited for again until it is written to
  // again. After a commit the files are others.
  if (due.has_value() && due->cause != ReadCause::kRecheck) being_written_.clear();
  reading_ = Reading{std::exchange(commit_, std::nullopt), std::exchange(pending_, std::nullopt),
                     std::exchange(recheck_, false)};
}

void Debouncer::ReadingWasUnsettled(Instant now) {
  NoteChange(now);
  if (reading_.has_value() && reading_->pending.has_value()) {
    pending_->first = reading_->pending->first;
    // The next that is forced waits, too: else they would follow each other without a pause.
    if (Deadline() <= now) pending_->first = now + settle_ - max_delay_;
  }
  reading_.reset();
}

void Debouncer::ReadingWasVoid(Instant now) {
  if (!reading_.has_value()) return;
  if (!commit_.has_value()) commit_ = std::move(reading_->commit);
  if (reading_->pending.has_value()) {
    NoteChange(reading_->pending->last);
    pending_->first = std::min(pending_->first, reading_->pending->first);
  }
  recheck_ = recheck_ || reading_->recheck;
  if (!commit_.has_value() && !pending_.has_value() && !recheck_) NoteChange(now);
  reading_.reset();
}

}  // namespace confstream
