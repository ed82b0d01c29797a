// SHA-256 by OpenSSL.

#ifndef CONFSTREAM_SERVER_BASE_SHA256_H_
#define CONFSTREAM_SERVER_BASE_SHA256_H_

#include <array>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/strings/string_view.h"

struct evp_md_ctx_st;

namespace confstream {

// A SHA-256 digest. All zero bytes by default, which is the digest of nothing known.
struct Sha256 {
  std::array<uint8_t, 32> bytes{};

  static Sha256 Of(absl::string_view text);

  // 64 lower-case hex digits.
  std::string Hex() const;
  void AppendHex(std::string* text) const;
  // "sha256:" and Hex(): how digests appear in the API.
  std::string Text() const;

  friend bool operator==(const Sha256& a, const Sha256& b) { return a.bytes == b.bytes; }
  friend bool operator!=(const Sha256& a, const Sha256& b) { return a.bytes != b.bytes; }
  friend bool operator<(const Sha256& a, const Sha256& b) { return a.bytes < b.bytes; }
};

// Digests text piece by piece. Thread-compatible.
class Sha256Hasher {
 public:
  Sha256Hasher();
  ~Sha256Hasher();
  Sha256Hasher(const Sha256Hasher&) = delete;
  Sha256Hasher& operator=(const Sha256Hasher&) = delete;

  void Update(absl::string_view text);
  // The digest of all text so far. Nothing else may be called after it.
  Sha256 Finish();

 private:
  evp_md_ctx_st* const context_;
};

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_BASE_SHA256_H_
