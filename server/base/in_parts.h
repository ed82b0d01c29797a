// Splits work on many things of one kind over the processors.

#ifndef CONFSTREAM_SERVER_BASE_IN_PARTS_H_
#define CONFSTREAM_SERVER_BASE_IN_PARTS_H_

#include <cstddef>
#include <functional>

#include "absl/status/status.h"

namespace confstream {

// Calls `work` for ranges [begin, end) that cover [0, count) once: at the same time, on this thread
// and a few more, which have ended when it returns. No range is smaller than `least`, so what is
// not worth a thread stays on this one. Returns OK, or what the first range that failed, in order
// of ranges, returned.
absl::Status InParts(size_t count, size_t least,
                     const std::function<absl::Status(size_t begin, size_t end)>& work);

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_BASE_IN_PARTS_H_
