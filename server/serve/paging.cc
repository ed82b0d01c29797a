#include "server/serve/paging.h"

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "server/serve/watch_request.h"

namespace confstream {
namespace {

constexpr int32_t kDefaultPageSize = 100;
constexpr int32_t kMaxPageSize = 1000;
// Neither names nor paths have it.
constexpr char kBetween = '\n';

}  // namespace

absl::StatusOr<size_t> PageSize(int32_t requested) {
  if (requested < 0 || requested > kMaxPageSize) {
    return InvalidRequest(
        absl::StrCat("page_size is ", requested, ": it must be from 0 to ", kMaxPageSize));
  }
  return static_cast<size_t>(requested == 0 ? kDefaultPageSize : requested);
}

std::string EncodePageToken(const std::vector<std::string>& position) {
  return absl::WebSafeBase64Escape(absl::StrJoin(position, std::string(1, kBetween)));
}

absl::StatusOr<std::vector<std::string>> DecodePageToken(absl::string_view token, size_t count) {
  if (token.empty()) return std::vector<std::string>();
  std::string text;
  std::vector<std::string> position;
  if (absl::WebSafeBase64Unescape(token, &text) && !text.empty()) {
    position = absl::StrSplit(text, kBetween);
  }
  if (position.size() != count) {
    return InvalidRequest("page_token is not one that this server gave: begin without one");
  }
  return position;
}

}  // namespace confstream
