// Identities that cannot be guessed.

#ifndef CONFSTREAM_SERVER_BASE_RANDOM_ID_H_
#define CONFSTREAM_SERVER_BASE_RANDOM_ID_H_

#include <string>

namespace confstream {

// 128 bits from the kernel's random number generator, as 32 hex digits.
std::string RandomId();

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_BASE_RANDOM_ID_H_
