#include "server/fanout/audience.h"

#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "tests/fakes/blocking_subscriber.h"
#include "tests/fakes/counting_subscriber.h"
#include "tests/fakes/lane_thread.h"

namespace confstream {
namespace {

// Writes down who is woken.
class NamedSubscriber final : public Subscriber {
 public:
  NamedSubscriber(Lane* lane, uint64_t connection, std::vector<uint64_t>* woken)
      : lane_(lane), connection_(connection), woken_(woken) {}

  void Wake() override { woken_->push_back(connection_); }
  Lane* lane() const override { return lane_; }
  uint64_t connection() const override { return connection_; }

 private:
  Lane* const lane_;
  const uint64_t connection_;
  std::vector<uint64_t>* const woken_;
};

class AudienceTest : public testing::Test {
 protected:
  const std::shared_ptr<Audience> audience_ = std::make_shared<Audience>();
  const std::shared_ptr<Audience> other_ = std::make_shared<Audience>();
};

TEST_F(AudienceTest, EverySubscriberIsWokenOnce) {
  const auto one = std::make_shared<CountingSubscriber>();
  const auto two = std::make_shared<CountingSubscriber>();
  const auto bystander = std::make_shared<CountingSubscriber>();
  audience_->Subscribe(one);
  audience_->Subscribe(two);
  other_->Subscribe(bystander);
  audience_->Notify();
  TestLane().Settle();
  EXPECT_EQ(one->wakes(), 1);
  EXPECT_EQ(two->wakes(), 1);
  EXPECT_EQ(bystander->wakes(), 0);
}

TEST_F(AudienceTest, SubscriberThatLeftOrDiedIsNotWoken) {
  const auto stays = std::make_shared<CountingSubscriber>();
  const auto leaves = std::make_shared<CountingSubscriber>();
  EXPECT_TRUE(audience_->empty());
  audience_->Subscribe(stays);
  audience_->Subscribe(leaves);
  audience_->Subscribe(std::make_shared<CountingSubscriber>());  // dead at once
  audience_->Unsubscribe(leaves.get());
  EXPECT_FALSE(audience_->empty());
  audience_->Notify();
  TestLane().Settle();
  EXPECT_EQ(stays->wakes(), 1);
  EXPECT_EQ(leaves->wakes(), 0);
}

TEST_F(AudienceTest, NewsThatComeWhileSomeWaitAlreadyAreToldOnce) {
  const auto blocking = std::make_shared<BlockingSubscriber>();
  const auto counting = std::make_shared<CountingSubscriber>();
  other_->Subscribe(blocking);
  audience_->Subscribe(counting);
  other_->Notify();
  ASSERT_TRUE(blocking->AwaitBlocking());
  for (int i = 0; i < 5; ++i) audience_->Notify();
  blocking->Release();
  TestLane().Settle();
  EXPECT_EQ(counting->wakes(), 1);
}

TEST_F(AudienceTest, NewsDuringATellingAreToldAfterIt) {
  const auto blocking = std::make_shared<BlockingSubscriber>();
  const auto counting = std::make_shared<CountingSubscriber>();
  audience_->Subscribe(blocking);
  audience_->Notify();
  ASSERT_TRUE(blocking->AwaitBlocking());
  audience_->Subscribe(counting);
  audience_->Notify();
  blocking->Release();
  TestLane().Settle();
  EXPECT_EQ(counting->wakes(), 1);
}

TEST_F(AudienceTest, ThoseOfAConnectionAreWokenInARow) {
  std::vector<uint64_t> woken;
  std::vector<std::shared_ptr<Subscriber>> subscribers;
  for (const uint64_t connection : std::vector<uint64_t>{7, 3, UINT64_MAX, 7, 3, 7}) {
    subscribers.push_back(std::make_shared<NamedSubscriber>(&TestLane(), connection, &woken));
    audience_->Subscribe(subscribers.back());
  }
  audience_->Notify();
  TestLane().Settle();
  EXPECT_EQ(woken, (std::vector<uint64_t>{3, 3, 7, 7, 7, UINT64_MAX}));
}

TEST_F(AudienceTest, EachIsWokenOnItsOwnLaneAndASlowLaneHoldsUpNoOther) {
  LaneThread lane;
  std::vector<uint64_t> woken;
  const auto blocking = std::make_shared<BlockingSubscriber>();
  const auto elsewhere = std::make_shared<NamedSubscriber>(&lane, 1, &woken);
  audience_->Subscribe(blocking);
  audience_->Subscribe(elsewhere);
  audience_->Notify();
  ASSERT_TRUE(blocking->AwaitBlocking());
  lane.Settle();
  EXPECT_EQ(woken, std::vector<uint64_t>{1});
  blocking->Release();
  TestLane().Settle();
}

TEST_F(AudienceTest, LaneMayEndOnceNobodyOfItIsLeft) {
  const auto stays = std::make_shared<CountingSubscriber>();
  audience_->Subscribe(stays);
  std::vector<uint64_t> woken;
  {
    LaneThread lane;
    const auto leaves = std::make_shared<NamedSubscriber>(&lane, 1, &woken);
    audience_->Subscribe(leaves);
    audience_->Notify();
    audience_->Unsubscribe(leaves.get());
  }
  audience_->Notify();
  TestLane().Settle();
  EXPECT_GE(stays->wakes(), 1);
}

}  // namespace
}  // namespace confstream
