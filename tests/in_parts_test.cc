#include "server/base/in_parts.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

namespace confstream {
namespace {

TEST(InPartsTest, EverythingIsTakenOnceOnAsManyThreadsAsThereAreProcessors) {
  std::vector<std::atomic<int>> taken(4001);
  std::mutex mu;
  std::set<std::thread::id> threads;
  const absl::Status status = InParts(taken.size(), 1000, [&](size_t begin, size_t end) {
    EXPECT_GE(end - begin, 1000u);
    for (size_t i = begin; i < end; ++i) ++taken[i];
    const std::lock_guard<std::mutex> lock(mu);
    threads.insert(std::this_thread::get_id());
    return absl::OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_TRUE(std::all_of(taken.begin(), taken.end(), [](int times) { return times == 1; }));
  EXPECT_EQ(threads.size(), std::clamp(std::thread::hardware_concurrency(), 1u, 4u));
  EXPECT_EQ(threads.count(std::this_thread::get_id()), 1u);
}

TEST(InPartsTest, WhatIsNotWorthAThreadStaysOnThisOne) {
  for (const size_t count : {0, 1, 1999}) {
    int calls = 0;
    const absl::Status status = InParts(count, 1000, [&](size_t begin, size_t end) {
      ++calls;
      EXPECT_EQ(begin, 0u);
      EXPECT_EQ(end, count);
      return absl::OkStatus();
    });
    EXPECT_TRUE(status.ok()) << status;
    EXPECT_EQ(calls, 1);
  }
}

TEST(InPartsTest, TheFirstFailureInOrderIsTold) {
  const auto fail = [](size_t begin, size_t) {
    return begin == 0 ? absl::OkStatus() : absl::NotFoundError("not the first");
  };
  EXPECT_EQ(InParts(1, 1, fail), absl::OkStatus());
  EXPECT_EQ(InParts(8, 1,
                    [](size_t begin, size_t) {
                      return absl::Status(
                          begin == 0 ? absl::StatusCode::kAborted : absl::StatusCode::kNotFound,
                          "");
                    })
                .code(),
            absl::StatusCode::kAborted);
  if (std::thread::hardware_concurrency() > 1) {
    EXPECT_EQ(InParts(8, 1, fail).code(), absl::StatusCode::kNotFound);
  }
}

}  // namespace
}  // namespace confstream
