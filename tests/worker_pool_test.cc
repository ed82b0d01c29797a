#include "server/publish/worker_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <thread>
#include <vector>

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
  for (int i = 0; i < 5; ++i) pool.Submit([&others] { ++others; });
  begun.get_future().wait();
  std::thread releaser([&release] { release.set_value(); });
  pool.Stop();
  EXPECT_TRUE(finished);
  releaser.join();
  const int before = others;
  pool.Submit([&others] { ++others; });
  pool.Stop();
  EXPECT_EQ(others, before) << "after Stop() nothing is taken";
}

}  // namespace
}  // namespace confstream
