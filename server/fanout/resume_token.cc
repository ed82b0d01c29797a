#include "server/fanout/resume_token.h"

#include <algorithm>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace confstream {
namespace {

// Layout: format (1 byte), epoch (16), version (8, big-endian), view digest (32), view hash (first
// 16 bytes).
constexpr char kFormat = 1;
constexpr size_t kEpochBytes = 16;
constexpr size_t kVersionBytes = 8;
constexpr size_t kHashBytes = 16;
constexpr size_t kTokenBytes = 1 + kEpochBytes + kVersionBytes + 32 + kHashBytes;

}  // namespace

std::string ResumeToken::Encode() const {
  std::string bytes(1, kFormat);
  bytes += absl::HexStringToBytes(epoch);
  for (size_t i = 0; i < kVersionBytes; ++i) {
    bytes += static_cast<char>(static_cast<uint64_t>(version) >> (8 * (kVersionBytes - 1 - i)));
  }
  bytes.append(view_digest.bytes.begin(), view_digest.bytes.end());
  bytes.append(view_hash.bytes.begin(), view_hash.bytes.begin() + kHashBytes);
  return absl::WebSafeBase64Escape(bytes);
}

std::optional<ResumeToken> ResumeToken::Decode(absl::string_view text) {
  std::string bytes;
  // The length first: a client may send anything of any size.
  if (text.size() > 2 * kTokenBytes || !absl::WebSafeBase64Unescape(text, &bytes) ||
      bytes.size() != kTokenBytes || bytes[0] != kFormat) {
    return std::nullopt;
  }
  ResumeToken token;
  auto at = bytes.begin() + 1;
  token.epoch = absl::BytesToHexString(absl::string_view(&*at, kEpochBytes));
  at += kEpochBytes;
  uint64_t version = 0;
  for (size_t i = 0; i < kVersionBytes; ++i) version = version << 8 | static_cast<uint8_t>(*at++);
  token.version = static_cast<int64_t>(version);
  std::copy(at, at + 32, token.view_digest.bytes.begin());
  at += 32;
  std::copy(at, at + kHashBytes, token.view_hash.bytes.begin());
  return token;
}

bool ResumeToken::SameView(const ResumeToken& other) const {
  return std::equal(view_hash.bytes.begin(), view_hash.bytes.begin() + kHashBytes,
                    other.view_hash.bytes.begin());
}

}  // namespace confstream
