// The bytes that the load publishes, whatever the server: they say which update they are. They are
// YAML, with one key `cs-bench-payload`, whose value is both numbers, and one that pads.

#ifndef CONFSTREAM_TESTS_BENCH_PAYLOAD_H_
#define CONFSTREAM_TESTS_BENCH_PAYLOAD_H_

#include <grpcpp/support/byte_buffer.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace confstream {

// Plain data.
struct PayloadStamp {
  int64_t number = 0;   // of the update, from 0
  int64_t time_ns = 0;  // monotonic, of the machine: when publishing it began
};

constexpr size_t kMinPayloadBytes = 96;

// CLOCK_MONOTONIC.
int64_t MonotonicNanoseconds();

// REQUIRES: bytes >= kMinPayloadBytes.
std::string MakePayload(const PayloadStamp& stamp, size_t bytes);

// The stamps of the payloads of `payload_bytes` each in `message`, whatever a server wraps them in:
// none, or several where it collects updates. Looks at a few hundred bytes before each payload and
// not at the padding, so that it costs the same for all servers: next to nothing.
std::vector<PayloadStamp> FindPayloads(const grpc::ByteBuffer& message, size_t payload_bytes);

}  // namespace confstream

#endif  // CONFSTREAM_TESTS_BENCH_PAYLOAD_H_
