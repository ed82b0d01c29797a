// The text by which a client says what it already holds.

#ifndef CONFSTREAM_SERVER_FANOUT_RESUME_TOKEN_H_
#define CONFSTREAM_SERVER_FANOUT_RESUME_TOKEN_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "server/base/sha256.h"

namespace confstream {

// Depends on version and view only, so all streams of a view share it. Plain data.
struct ResumeToken {
  std::string epoch;  // 32 hex digits
  int64_t version = 0;
  Sha256 view_digest;
  Sha256 view_hash;  // View::HashFor; a decoded token has its first 16 bytes only

  // base64url text.
  std::string Encode() const;
  // Unset: the text is no token of this server's making; that is no error, but a client to be told
  // everything.
  static std::optional<ResumeToken> Decode(absl::string_view text);

  // True if both stand for the same view of the same source.
  bool SameView(const ResumeToken& other) const;
};

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_FANOUT_RESUME_TOKEN_H_
