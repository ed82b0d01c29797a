// What a client makes of an outgoing message.

#ifndef CONFSTREAM_TESTS_FAKES_RECEIVED_MESSAGE_H_
#define CONFSTREAM_TESTS_FAKES_RECEIVED_MESSAGE_H_

#include <gtest/gtest.h>

#include <string>

#include "confstream/v1/config_service.pb.h"
#include "server/fanout/watch_session.h"

namespace confstream {

// The message that the parts make, one written after the other. Expects what some clients depend
// on: those that let a sub-message which comes twice replace itself, instead of merging, must see
// the same as all others. So header and event are whole in one part each, and the part that is the
// stream's own has no sub-message but an empty heartbeat.
inline v1::WatchResponse Receive(const OutgoingMessage& message) {
  v1::WatchResponse own;
  EXPECT_TRUE(own.ParseFromString(message.own));
  EXPECT_FALSE(own.has_header());
  if (own.event_case() == v1::WatchResponse::kHeartbeat) {
    EXPECT_EQ(own.heartbeat().ByteSizeLong(), 0u);
  } else {
    EXPECT_EQ(own.event_case(), v1::WatchResponse::EVENT_NOT_SET);
  }
  int headers = 0;
  int events = own.event_case() == v1::WatchResponse::EVENT_NOT_SET ? 0 : 1;
  std::string bytes = message.own;
  for (const auto& shared : message.shared) {
    v1::WatchResponse part;
    EXPECT_TRUE(part.ParseFromString(*shared));
    headers += part.has_header() ? 1 : 0;
    events += part.event_case() == v1::WatchResponse::EVENT_NOT_SET ? 0 : 1;
    // What is shared says nothing of one stream.
    EXPECT_TRUE(part.watch_id().empty());
    EXPECT_FALSE(part.in_sync());
    EXPECT_EQ(part.reason(), v1::WATCH_REASON_UNSPECIFIED);
    EXPECT_EQ(part.skipped_versions(), 0);
    bytes += *shared;
  }
  EXPECT_EQ(headers, 1);
  EXPECT_EQ(events, 1);
  v1::WatchResponse whole;
  EXPECT_TRUE(whole.ParseFromString(bytes));
  return whole;
}

}  // namespace confstream

#endif  // CONFSTREAM_TESTS_FAKES_RECEIVED_MESSAGE_H_
