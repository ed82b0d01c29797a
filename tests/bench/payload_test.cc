#include "tests/bench/payload.h"

#include <grpcpp/support/slice.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace confstream {
namespace {

constexpr size_t kBytes = 1024;

// `text` in slices of `slice_bytes`, as they may come from the network.
grpc::ByteBuffer Message(const std::string& text, size_t slice_bytes) {
  std::vector<grpc::Slice> slices;
  for (size_t i = 0; i < text.size(); i += slice_bytes) {
    slices.emplace_back(text.substr(i, slice_bytes));
  }
  return grpc::ByteBuffer(slices.data(), slices.size());
}

TEST(PayloadTest, IsFoundInAWrappingHoweverItIsCut) {
  const std::string message =
      std::string(300, 'h') + MakePayload({7, 1234567890123}, kBytes) + std::string(40, 't');
  for (const size_t slice_bytes : {1u, 17u, 320u, 4096u}) {
    const auto found = FindPayloads(Message(message, slice_bytes), kBytes);
    ASSERT_EQ(found.size(), 1u) << slice_bytes;
    EXPECT_EQ(found[0].number, 7);
    EXPECT_EQ(found[0].time_ns, 1234567890123);
  }
}

TEST(PayloadTest, SeveralInOneMessageAreAllFound) {
  std::string message;
  for (int64_t number = 1; number <= 3; ++number) {
    message += "wrapping" + MakePayload({number, 10 * number}, kBytes);
  }
  const auto found = FindPayloads(Message(message, 1500), kBytes);
  ASSERT_EQ(found.size(), 3u);
  EXPECT_EQ(found[2].number, 3);
  EXPECT_EQ(found[2].time_ns, 30);
}

TEST(PayloadTest, OneThatWasCutShortIsNone) {
  const std::string payload = MakePayload({1, 2}, kBytes);
  EXPECT_TRUE(FindPayloads(Message("head" + payload.substr(0, kBytes - 1), 100), kBytes).empty());
  EXPECT_TRUE(FindPayloads(Message(std::string(3 * kBytes, 'x'), 100), kBytes).empty());
}

}  // namespace
}  // namespace confstream
