// Prints a file of a source: first ADDRESS SOURCE PATH
#include <confstream/client.h>

#include <iostream>

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  confstream::Watch watch(confstream::Client(argv[1]), {.source = argv[2]});
  const auto [status, snapshot] = watch.Wait(std::chrono::seconds(10));
  if (!status.ok()) std::cerr << status.message() << "\n";
  const confstream::File* file = status.ok() ? snapshot->Find(argv[3]) : nullptr;
  if (file != nullptr) std::cout << *file->content;
  return file != nullptr ? 0 : 1;
}
