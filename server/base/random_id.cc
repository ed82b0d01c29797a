#include "server/base/random_id.h"

#include <unistd.h>

#include <cstdlib>

#include "absl/strings/escaping.h"

namespace confstream {

std::string RandomId() {
  char bytes[16];
  // Never fails for so few bytes once the kernel has booted: getentropy(3).
  if (getentropy(bytes, sizeof(bytes)) != 0) std::abort();
  return absl::BytesToHexString(absl::string_view(bytes, sizeof(bytes)));
}

}  // namespace confstream
