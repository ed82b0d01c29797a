// Lists in pages.

#ifndef CONFSTREAM_SERVER_SERVE_PAGING_H_
#define CONFSTREAM_SERVER_SERVE_PAGING_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace confstream {

// What clients accept by default, less some room for what a proxy may add.
inline constexpr size_t kMaxMessageBytes = (size_t{4} << 20) - (size_t{16} << 10);
// A page is full when it has this much.
inline constexpr size_t kPageBytes = kMaxMessageBytes / 2;

// The number of entries that a page may have at most: 100, unless the request says otherwise.
// INVALID_ARGUMENT: it asks for less than 0 or more than 1000.
absl::StatusOr<size_t> PageSize(int32_t requested);

// A page token stands for where the page before ended: a few texts, and a checksum, so that one
// that was not given by a server is known. It is good for every server of the same sources.
std::string EncodePageToken(const std::vector<std::string>& position);
// The texts; none for an empty token. INVALID_ARGUMENT: not `count` texts as EncodePageToken makes
// them, to the byte.
absl::StatusOr<std::vector<std::string>> DecodePageToken(absl::string_view token, size_t count);
// What is answered to a token that is none.
absl::Status InvalidPageToken();

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_SERVE_PAGING_H_
