#include "server/snapshot/source_journal.h"

#include <utility>

#include "server/base/text.h"

namespace confstream {

void SourceJournal::Note(SourceEvent::Kind kind, absl::string_view detail, int64_t version) {
  std::string text = EscapeForDisplay(detail.substr(0, kMaxDetailBytes));
  const absl::Time now = clock_->WallNow();
  MutexLock lock(&mu_);
  if (!events_.empty() && events_.back().kind == kind && events_.back().version == version &&
      events_.back().detail == text) {
    ++events_.back().count;
    events_.back().time = now;
    return;
  }
  if (events_.size() == kMaxEvents) events_.pop_front();
  events_.push_back({kind, std::move(text), version, 1, now});
}

std::vector<SourceEvent> SourceJournal::Events() const {
  MutexLock lock(&mu_);
  return {events_.begin(), events_.end()};
}

std::shared_ptr<SourceJournal> SourceJournals::Of(const std::string& source) {
  MutexLock lock(&mu_);
  std::shared_ptr<SourceJournal>& journal = journals_[source];
  if (journal == nullptr) journal = std::make_shared<SourceJournal>(clock_);
  return journal;
}

}  // namespace confstream
