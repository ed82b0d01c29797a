// What the fuzz targets share: a target is a program that libFuzzer calls with any bytes, and that
// ends itself when a promise is broken.

#ifndef CONFSTREAM_TESTS_FUZZ_FUZZING_H_
#define CONFSTREAM_TESTS_FUZZ_FUZZING_H_

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "absl/strings/string_view.h"
#include "server/base/text.h"

// Each target defines it. Returns 0.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace confstream {

// Ends the program, which libFuzzer takes for a crash and keeps the input of, unless the promise
// holds.
inline void Require(bool holds, const char* promise) {
  if (holds) return;
  std::fprintf(stderr, "broken promise: %s\n", promise);
  std::abort();
}

// Of all text that is shown or sent: nothing in it can harm a terminal or a protobuf string.
inline void RequirePrintable(absl::string_view text) {
  Require(IsValidUtf8(text) && !HasControlCharacters(text), "text that is shown is printable");
}

inline absl::string_view AsText(const uint8_t* data, size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

}  // namespace confstream

#endif  // CONFSTREAM_TESTS_FUZZ_FUZZING_H_
