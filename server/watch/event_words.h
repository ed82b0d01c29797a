// What an event says, in words for a person.

#ifndef CONFSTREAM_SERVER_WATCH_EVENT_WORDS_H_
#define CONFSTREAM_SERVER_WATCH_EVENT_WORDS_H_

#include <string>

#include "server/watch/event_source.h"
#include "server/watch/watch_plan.h"

namespace confstream {

// For the journal of the source to which the event means that. REQUIRES: it means something, or has
// `left_out`.
std::string WordsFor(const WatchEvent& event, const EventMeaning& meaning);

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_WATCH_EVENT_WORDS_H_
