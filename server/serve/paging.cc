#include "server/serve/paging.h"

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "server/base/sha256.h"
#include "server/serve/watch_request.h"

namespace confstream {
namespace {

constexpr int32_t kDefaultPageSize = 100;
constexpr int32_t kMaxPageSize = 1000;
// Neither names nor paths have it.
constexpr char kBetween = '\n';
constexpr size_t kChecksumBytes = 8;

}  // namespace

absl::StatusOr<size_t> PageSize(int32_t requested) {
  if (requested < 0 || requested > kMaxPageSize) {
    return InvalidRequest(
        absl::StrCat("page_size is ", requested, ": it must be from 0 to ", kMaxPageSize));
  }
  return static_cast<size_t>(requested == 0 ? kDefaultPageSize : requested);
}

std::string EncodePageToken(const std::vector<std::string>& position) {
  const std::string text = absl::StrJoin(position, std::string(1, kBetween));
  const Sha256 digest = Sha256::Of(text);
  const absl::string_view checksum(reinterpret_cast<const char*>(digest.bytes.data()),
                                   kChecksumBytes);
  return absl::WebSafeBase64Escape(absl::StrCat(checksum, text));
}

absl::StatusOr<std::vector<std::string>> DecodePageToken(absl::string_view token, size_t count) {
  if (token.empty()) return std::vector<std::string>();
  std::string text;
  if (!absl::WebSafeBase64Unescape(token, &text) || text.size() <= kChecksumBytes) {
    return InvalidPageToken();
  }
  std::vector<std::string> position = absl::StrSplit(
      text.substr(kChecksumBytes), absl::MaxSplits(kBetween, static_cast<int>(count)));
  // Base64 has several spellings of the same, and only one is ours.
  if (position.size() != count || EncodePageToken(position) != token) return InvalidPageToken();
  return position;
}

absl::Status InvalidPageToken() {
  return InvalidRequest("page_token is not one that this server gave: begin without one");
}

}  // namespace confstream
