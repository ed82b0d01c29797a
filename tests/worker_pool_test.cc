#include "server/base/worker_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <memory>
#include <thread>
#include <vector>

#include "absl/time/clock.h"

namespace confstream {
namespace {

TEST(WorkerPoolTest, OneThreadTakesWorkFirstInFirstOut) {
  std::vector<int> order;
  std::promise<void> done;
  WorkerPool pool(1);
  for (int i = 0; i < 5; ++i) pool.Submit([&order, i] { order.push_back(i); });
  pool.Submit([&done] { done.set_value(); });
  done.get_future().wait();
  EXPECT_EQ(order, (std::vector<int>{0, 1, 2, 3, 4}));
}

TEST(WorkerPoolTest, WorkThatTakesLongHoldsOneThreadOnly) {
  std::promise<void> release;
  std::promise<void> done;
  WorkerPool pool(2);
  pool.Submit([&release] { release.get_future().wait(); });
  pool.Submit([&done] { done.set_value(); });
  done.get_future().wait();
  release.set_value();
}

TEST(WorkerPoolTest, StopWaitsForWhatHasBegunAndDropsTheRest) {
  std::promise<void> begun;
  std::promise<void> release;
  std::atomic<bool> finished{false};
  std::atomic<int> others{0};
  WorkerPool pool(1);
  pool.Submit([&] {
    begun.set_value();
    release.get_future().wait();
    finished = true;
  });
  auto held_by_the_rest = std::make_shared<int>();
  const std::weak_ptr<int> rest = held_by_the_rest;
  for (int i = 0; i < 5; ++i) pool.Submit([&others, held_by_the_rest] { ++others; });
  held_by_the_rest.reset();
  begun.get_future().wait();
  std::thread stopping([&pool] { pool.Stop(); });
  const absl::Time deadline = absl::Now() + absl::Seconds(30);
  while (!rest.expired() && absl::Now() < deadline) std::this_thread::yield();
  EXPECT_TRUE(rest.expired()) << "dropped while what has begun goes on";
  EXPECT_FALSE(finished);
  release.set_value();
  stopping.join();
  EXPECT_TRUE(finished);
  EXPECT_EQ(others, 0);
}

TEST(WorkerPoolTest, WorkForLaterIsTakenInOrderOfTimeAndNotTooEarly) {
  std::vector<int> order;
  std::promise<void> done;
  WorkerPool pool(1);
  const absl::Time began = absl::Now();
  pool.SubmitAfter(absl::Milliseconds(40), [&] {
    order.push_back(3);
    done.set_value();
  });
  pool.SubmitAfter(absl::Milliseconds(20), [&order] { order.push_back(2); });
  pool.Submit([&order] { order.push_back(1); });
  done.get_future().wait();
  EXPECT_EQ(order, (std::vector<int>{1, 2, 3}));
  EXPECT_GE(absl::Now() - began, absl::Milliseconds(40));
}

TEST(WorkerPoolTest, StopDropsWorkForLaterAtOnce) {
  auto held_by_the_work = std::make_shared<int>();
  const std::weak_ptr<int> work = held_by_the_work;
  WorkerPool pool(1);
  pool.SubmitAfter(absl::Hours(1), [held_by_the_work] { ADD_FAILURE() << "taken too early"; });
  held_by_the_work.reset();
  EXPECT_FALSE(work.expired());
  pool.Stop();
  EXPECT_TRUE(work.expired());
}

TEST(WorkerPoolTest, WorkSubmittedAfterStopIsDroppedAtOnce) {
  WorkerPool pool(1);
  pool.Stop();
  auto held_by_the_work = std::make_shared<int>();
  const std::weak_ptr<int> work = held_by_the_work;
  pool.Submit([held_by_the_work] { ADD_FAILURE() << "taken after Stop()"; });
  held_by_the_work.reset();
  EXPECT_TRUE(work.expired());
  pool.Stop();
}

}  // namespace
}  // namespace confstream
