#include "server/watch/event_words.h"

#include "absl/strings/str_cat.h"

namespace confstream {

std::string WordsFor(const WatchEvent& event, const EventMeaning& meaning) {
  if (meaning.what == EventMeaning::kNothing) {
    return absl::StrCat("of no concern: ", meaning.left_out);
  }
  if (meaning.what == EventMeaning::kCommit) return absl::StrCat("replaced: ", event.name);
  const std::string what = event.name.empty() ? "the directory" : event.name;
  switch (event.kind) {
    case WatchEvent::kCreated:
      return absl::StrCat("created: ", what);
    case WatchEvent::kMovedIn:
      return absl::StrCat("moved in: ", what);
    case WatchEvent::kMovedOut:
      return absl::StrCat("moved away: ", what);
    case WatchEvent::kDeleted:
      return absl::StrCat("deleted: ", what);
    case WatchEvent::kModified:
      return absl::StrCat("written to: ", what);
    case WatchEvent::kClosedAfterWrite:
      return absl::StrCat("closed after writing: ", what);
    case WatchEvent::kAttributes:
      return absl::StrCat("attributes changed: ", what);
    case WatchEvent::kWatchEnded:
      return "a watched directory was deleted, moved or unmounted";
    case WatchEvent::kEventsLost:
      break;
  }
  return "events were lost";
}

}  // namespace confstream
