#include "tests/bench/payload.h"

#include <grpcpp/support/slice.h>

#include <algorithm>
#include <ctime>
#include <optional>

#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"

namespace confstream {
namespace {

constexpr absl::string_view kMagic = "cs-bench-payload: ";
constexpr char kPadding[] = "\npadding: ";
constexpr size_t kDigits = 20;  // of each of the two numbers
constexpr size_t kStampBytes = kMagic.size() + 2 * kDigits + 1;
static_assert(kStampBytes + sizeof kPadding <= kMinPayloadBytes);
// As much as any of the servers writes before a payload, and a stamp.
constexpr size_t kWindowBytes = 2048;

// Up to `bytes` of the slices from `offset` on.
std::string CopyRange(const std::vector<grpc::Slice>& slices, size_t offset, size_t bytes) {
  std::string copy;
  for (const grpc::Slice& slice : slices) {
    if (offset >= slice.size()) {
      offset -= slice.size();
      continue;
    }
    const size_t taken = std::min(bytes - copy.size(), slice.size() - offset);
    copy.append(reinterpret_cast<const char*>(slice.begin()) + offset, taken);
    if (copy.size() == bytes) break;
    offset = 0;
  }
  return copy;
}

std::optional<PayloadStamp> ParseStamp(absl::string_view text) {
  PayloadStamp stamp;
  if (text.size() < kStampBytes) return std::nullopt;
  text.remove_prefix(kMagic.size());
  if (!absl::SimpleAtoi(text.substr(0, kDigits), &stamp.number) ||
      !absl::SimpleAtoi(text.substr(kDigits + 1, kDigits), &stamp.time_ns)) {
    return std::nullopt;
  }
  return stamp;
}

}  // namespace

int64_t MonotonicNanoseconds() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * 1000000000 + now.tv_nsec;
}

std::string MakePayload(const PayloadStamp& stamp, size_t bytes) {
  std::string payload =
      absl::StrFormat("%s%020d %020d", std::string(kMagic), stamp.number, stamp.time_ns);
  payload += kPadding;
  payload.resize(bytes, 'x');
  return payload;
}

std::vector<PayloadStamp> FindPayloads(const grpc::ByteBuffer& message, size_t payload_bytes) {
  std::vector<PayloadStamp> stamps;
  std::vector<grpc::Slice> slices;
  if (!message.Dump(&slices).ok()) return stamps;
  for (size_t offset = 0; offset + payload_bytes <= message.Length();) {
    const std::string window = CopyRange(slices, offset, kWindowBytes);
    const size_t found = absl::string_view(window).find(kMagic);
    if (found == absl::string_view::npos) break;
    const auto stamp = ParseStamp(absl::string_view(window).substr(found));
    if (!stamp.has_value()) break;
    offset += found + payload_bytes;
    if (offset > message.Length()) break;  // cut short: no payload
    stamps.push_back(*stamp);
  }
  return stamps;
}

}  // namespace confstream
