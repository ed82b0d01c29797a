#include "server/fanout/delivery.h"

#include <gtest/gtest.h>

#include "tests/fakes/blocking_subscriber.h"
#include "tests/fakes/counting_subscriber.h"
#include "tests/fakes/fake_clock.h"
#include "tests/fakes/snapshots.h"

namespace confstream {
namespace {

std::shared_ptr<ViewTopic> Topic(const std::shared_ptr<Subscriber>& subscriber) {
  auto topic = std::make_shared<ViewTopic>("app", *View::Parse({}), ViewState());
  topic->Subscribe(subscriber);
  return topic;
}

class DeliveryTest : public testing::Test {
 protected:
  // Makes the delivery thread look at the clock, and waits until it has done what was due.
  void Prod() {
    prodded_ += 2;
    // By the second time, the turn in which the first was seen is over.
    delivery_.Notify(prodded_topic_);
    ASSERT_TRUE(prodded_subscriber_->AwaitWakes(prodded_ - 1));
    delivery_.Notify(prodded_topic_);
    ASSERT_TRUE(prodded_subscriber_->AwaitWakes(prodded_));
  }

  FakeClock clock_;
  std::shared_ptr<CountingSubscriber> prodded_subscriber_ = std::make_shared<CountingSubscriber>();
  std::shared_ptr<ViewTopic> prodded_topic_ = Topic(prodded_subscriber_);
  int64_t prodded_ = 0;
  Delivery delivery_{&clock_};
};

TEST_F(DeliveryTest, EverySubscriberOfATopicIsWoken) {
  auto one = std::make_shared<CountingSubscriber>();
  auto two = std::make_shared<CountingSubscriber>();
  auto bystander = std::make_shared<CountingSubscriber>();
  const auto topic = Topic(one);
  topic->Subscribe(two);
  const auto other = Topic(bystander);
  delivery_.Notify(topic);
  EXPECT_TRUE(one->AwaitWakes(1));
  EXPECT_TRUE(two->AwaitWakes(1));
  Prod();
  EXPECT_EQ(one->wakes(), 1);
  EXPECT_EQ(two->wakes(), 1);
  EXPECT_EQ(bystander->wakes(), 0);
}

TEST_F(DeliveryTest, SubscriberThatLeftOrDiedIsNotWoken) {
  auto stays = std::make_shared<CountingSubscriber>();
  auto leaves = std::make_shared<CountingSubscriber>();
  const auto topic = Topic(stays);
  topic->Subscribe(leaves);
  topic->Subscribe(std::make_shared<CountingSubscriber>());  // dead at once
  topic->Unsubscribe(leaves.get());
  delivery_.Notify(topic);
  EXPECT_TRUE(stays->AwaitWakes(1));
  EXPECT_EQ(leaves->wakes(), 0);
}

TEST_F(DeliveryTest, TopicThatWaitsAlreadyIsDeliveredOnce) {
  auto blocking = std::make_shared<BlockingSubscriber>();
  auto counting = std::make_shared<CountingSubscriber>();
  delivery_.Notify(Topic(blocking));
  ASSERT_TRUE(blocking->AwaitBlocking());
  const auto topic = Topic(counting);
  for (int i = 0; i < 5; ++i) delivery_.Notify(topic);
  blocking->Release();
  Prod();
  EXPECT_EQ(counting->wakes(), 1);
}

TEST_F(DeliveryTest, NewsDuringADeliveryOfTheTopicAreDeliveredAfterIt) {
  auto blocking = std::make_shared<BlockingSubscriber>();
  auto counting = std::make_shared<CountingSubscriber>();
  const auto topic = Topic(blocking);
  delivery_.Notify(topic);
  ASSERT_TRUE(blocking->AwaitBlocking());
  topic->Subscribe(counting);
  delivery_.Notify(topic);
  blocking->Release();
  EXPECT_TRUE(counting->AwaitWakes(1));
}

TEST_F(DeliveryTest, WakeUpComesWhenItsTimeHasComeAndNotBefore) {
  auto subscriber = std::make_shared<CountingSubscriber>();
  delivery_.WakeAt(clock_.Now() + absl::Seconds(10), subscriber);
  clock_.Advance(absl::Seconds(10) - absl::Nanoseconds(1));
  Prod();
  EXPECT_EQ(subscriber->wakes(), 0);
  clock_.Advance(absl::Nanoseconds(1));
  Prod();
  EXPECT_EQ(subscriber->wakes(), 1);
  clock_.Advance(absl::Hours(1));
  Prod();
  EXPECT_EQ(subscriber->wakes(), 1) << "once for each time it was asked for";
}

TEST_F(DeliveryTest, EveryWakeUpAskedForComesAtItsOwnTime) {
  auto subscriber = std::make_shared<CountingSubscriber>();
  for (const int seconds : {30, 10, 20, 20}) {
    delivery_.WakeAt(clock_.Now() + absl::Seconds(seconds), subscriber);
  }
  for (const int64_t expected : {1, 3, 4}) {
    clock_.Advance(absl::Seconds(10));
    Prod();
    EXPECT_EQ(subscriber->wakes(), expected);
  }
}

TEST_F(DeliveryTest, TimeInThePastWakesAtOnce) {
  auto subscriber = std::make_shared<CountingSubscriber>();
  delivery_.WakeAt(clock_.Now() - absl::Seconds(1), subscriber);
  EXPECT_TRUE(subscriber->AwaitWakes(1));
}

TEST_F(DeliveryTest, WakeUpForOneWhoHasGoneIsDropped) {
  auto subscriber = std::make_shared<CountingSubscriber>();
  const std::weak_ptr<CountingSubscriber> gone = subscriber;
  delivery_.WakeAt(clock_.Now() + absl::Seconds(1), subscriber);
  subscriber.reset();
  EXPECT_TRUE(gone.expired()) << "a wake-up asked for keeps nobody alive";
  clock_.Advance(absl::Seconds(1));
  Prod();
}

TEST(DeliveryOnTheRealClockTest, EarlierWakeUpIsNotHeldByALaterOneThatWasAskedForBefore) {
  const SystemClock clock;
  Delivery delivery(&clock);
  auto late = std::make_shared<CountingSubscriber>();
  auto early = std::make_shared<CountingSubscriber>();
  delivery.WakeAt(clock.Now() + absl::Hours(1), late);
  // Most likely the delivery thread has nothing to do again, and waits for the later one.
  auto prodded = std::make_shared<CountingSubscriber>();
  delivery.Notify(Topic(prodded));
  ASSERT_TRUE(prodded->AwaitWakes(1));
  delivery.WakeAt(clock.Now() + absl::Milliseconds(20), early);
  EXPECT_TRUE(early->AwaitWakes(1));
  EXPECT_EQ(late->wakes(), 0);
}

TEST(DeliveryOnTheRealClockTest, WhatIsLeftAtTheEndIsDroppedWithoutWaiting) {
  const SystemClock clock;
  auto subscriber = std::make_shared<CountingSubscriber>();
  {
    Delivery delivery(&clock);
    delivery.WakeAt(clock.Now() + absl::Hours(1), subscriber);
    delivery.WakeAt(Instant::Infinite(), subscriber);
  }
  EXPECT_EQ(subscriber->wakes(), 0);
}

}  // namespace
}  // namespace confstream
