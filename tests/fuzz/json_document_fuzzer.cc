// A JSON file of a source: its syntax, its tree, and what fixed schemas say of it.

#include "tests/fuzz/document_fuzzing.h"
#include "tests/fuzz/fuzzing.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  confstream::FuzzDocument("file.json", confstream::AsText(data, size));
  return 0;
}
