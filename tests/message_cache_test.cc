#include "server/fanout/message_cache.h"

#include <gtest/gtest.h>

#include <memory>
#include <thread>
#include <vector>

#include "server/fanout/view_snapshot.h"
#include "tests/fakes/snapshots.h"

namespace confstream {
namespace {

constexpr int64_t kMiB = int64_t{1} << 20;

std::shared_ptr<const ViewMessage> Large(int64_t version, size_t bytes = size_t{3} << 20) {
  return std::make_shared<ViewSnapshot>(MakeSnapshot(version, {{"big", std::string(bytes, 'x')}}),
                                        *View::Parse({}), nullptr);
}

TEST(MessageCacheTest, StreamsOfAViewShareTheSameBytes) {
  MessageCache cache(10 * kMiB);
  const auto view = Large(1);
  const auto first = cache.Fragment(view, 0);
  EXPECT_EQ(cache.Fragment(view, 0).get(), first.get());
  EXPECT_EQ(*first, view->EncodeFragment(0));
  EXPECT_NE(*cache.Fragment(view, 1), *first);
  EXPECT_EQ(*cache.Fragment(view, 1), view->EncodeFragment(1));
}

TEST(MessageCacheTest, ViewsOfEqualContentAreNotTakenForEachOther) {
  MessageCache cache(10 * kMiB);
  EXPECT_NE(cache.Fragment(Large(1), 0).get(), cache.Fragment(Large(1), 0).get());
}

TEST(MessageCacheTest, HoldsNoMoreThanItsBoundAndLetsTheLeastRecentlyUsedGo) {
  MessageCache cache(2 * kMiB + kMiB / 2);
  const auto view = Large(1);
  const auto zero = cache.Fragment(view, 0);
  const auto one = cache.Fragment(view, 1);
  EXPECT_EQ(cache.Fragment(view, 0).get(), zero.get());  // used again: now 1 is the oldest
  const auto two = cache.Fragment(view, 2);
  EXPECT_LE(cache.bytes(), 2 * kMiB + kMiB / 2);
  EXPECT_EQ(cache.bytes(), static_cast<int64_t>(zero->size() + two->size()));
  EXPECT_EQ(cache.Fragment(view, 0).get(), zero.get());
  EXPECT_NE(cache.Fragment(view, 1).get(), one.get()) << "it had gone and was encoded again";
}

TEST(MessageCacheTest, WhatHasGoneStaysWholeForThoseWhoAreWritingIt) {
  MessageCache cache(2 * kMiB);
  const auto view = Large(1);
  const auto held = cache.Fragment(view, 0);
  for (int64_t version = 2; version < 6; ++version) cache.Fragment(Large(version), 0);
  EXPECT_EQ(*held, view->EncodeFragment(0));
  EXPECT_EQ(held.use_count(), 1) << "the cache has let it go";
}

TEST(MessageCacheTest, MessagesOfContentThatNobodyHoldsGoWithTheNextOne) {
  MessageCache cache(100 * kMiB);
  auto old = Large(1);
  for (size_t index = 0; index < 3; ++index) cache.Fragment(old, index);
  const auto held = Large(2);
  const auto message = cache.Fragment(held, 0);
  const int64_t of_both = cache.bytes();
  old.reset();
  const auto newest = Large(3);
  const auto next = cache.Fragment(newest, 0);
  EXPECT_LT(cache.bytes(), of_both);
  EXPECT_EQ(cache.bytes(), static_cast<int64_t>(message->size() + next->size()));
  EXPECT_EQ(cache.Fragment(held, 0).get(), message.get());
}

TEST(MessageCacheTest, MessageLargerThanTheBoundIsGivenAndNotKept) {
  MessageCache cache(kMiB / 2);
  const auto view = Large(1);
  EXPECT_EQ(*cache.Fragment(view, 0), view->EncodeFragment(0));
  EXPECT_EQ(cache.bytes(), 0);
}

TEST(MessageCacheTest, ManyThreadsGetRightMessagesWithinTheBound) {
  constexpr int64_t kBound = kMiB;
  MessageCache cache(kBound);
  std::vector<std::shared_ptr<const ViewMessage>> views;
  std::vector<std::string> expected;
  for (int64_t version = 1; version <= 4; ++version) {
    views.push_back(Large(version, 300'000 + static_cast<size_t>(version)));
    expected.push_back(views.back()->EncodeFragment(0));
  }
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (size_t i = 0; i < 200; ++i) {
        const size_t which = (i * 7 + static_cast<size_t>(t)) % views.size();
        EXPECT_TRUE(*cache.Fragment(views[which], 0) == expected[which]);
        EXPECT_LE(cache.bytes(), kBound);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace confstream
