#include "tests/bench/receipts.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

namespace confstream {
namespace {

using Latencies = std::vector<std::vector<int64_t>>;

// Two watchers, one update to warm up, two that are measured; published at 10, 20 and 30.
class ReceiptsTest : public testing::Test {
 protected:
  ReceiptsTest() : receipts_(2, 1, 3) {
    for (int64_t number = 0; number <= 3; ++number) receipts_.NotePublished(number, 10 * number);
  }

  void Receive(size_t watcher, const std::vector<int64_t>& numbers, int64_t now_ns,
               size_t bytes = 0) {
    std::vector<PayloadStamp> stamps;
    for (const int64_t number : numbers) stamps.push_back({number, 10 * number});
    receipts_.NoteReceived(watcher, stamps, bytes, now_ns);
  }

  Receipts receipts_;
};

TEST_F(ReceiptsTest, EachUpdateHasTheTimesOfAllWatchers) {
  for (const size_t watcher : {0u, 1u}) {
    Receive(watcher, {0}, 5);
    Receive(watcher, {1}, 12);
  }
  EXPECT_EQ(receipts_.warm(), 2);
  EXPECT_EQ(receipts_.deliveries(), 0);
  Receive(1, {2}, 29);
  Receive(0, {2}, 27);
  Receive(0, {3}, 31);
  EXPECT_EQ(receipts_.at_last(), 1);
  Receive(1, {3}, 36);
  EXPECT_EQ(receipts_.SortedLatencies(), (Latencies{{7, 9}, {1, 6}}));
  EXPECT_EQ(receipts_.at_last(), 2);
  EXPECT_EQ(receipts_.deliveries(), 4);
  EXPECT_EQ(receipts_.skipped(), 0);
}

TEST_F(ReceiptsTest, AnUpdateThatWasSkippedIsChargedUntilALaterOneArrives) {
  Receive(0, {3}, 45);
  EXPECT_EQ(receipts_.SortedLatencies(), (Latencies{{25}, {15}}));
  EXPECT_EQ(receipts_.warm(), 1);
  EXPECT_EQ(receipts_.deliveries(), 1);
  EXPECT_EQ(receipts_.skipped(), 1);
}

TEST_F(ReceiptsTest, UpdatesInOneMessageAreDeliveriesOfTheirOwn) {
  Receive(0, {1, 2, 3}, 45);
  EXPECT_EQ(receipts_.deliveries(), 2);
  EXPECT_EQ(receipts_.skipped(), 0);
}

TEST_F(ReceiptsTest, WhatComesAgainCountsOnce) {
  Receive(0, {3}, 45);
  Receive(0, {3}, 50);
  EXPECT_EQ(receipts_.at_last(), 1);
  EXPECT_EQ(receipts_.deliveries(), 1);
}

TEST_F(ReceiptsTest, WhatWasNeverPublishedEndsTheProgram) {
  EXPECT_DEATH(receipts_.NoteReceived(0, {{2, 999}}, 0, 45), "never published");
  EXPECT_DEATH(receipts_.NoteReceived(0, {{4, 40}}, 0, 45), "never published");
}

TEST_F(ReceiptsTest, BytesAreThoseOfMeasuredUpdates) {
  Receive(0, {0}, 5, 1000);
  Receive(0, {1}, 12, 1000);
  Receive(0, {}, 13, 1000);
  Receive(0, {2}, 27, 30);
  Receive(1, {2}, 28, 40);
  EXPECT_EQ(receipts_.received_bytes(), 70);
}

}  // namespace
}  // namespace confstream
