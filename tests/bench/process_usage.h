// What a process has used, as the kernel counts it.

#ifndef CONFSTREAM_TESTS_BENCH_PROCESS_USAGE_H_
#define CONFSTREAM_TESTS_BENCH_PROCESS_USAGE_H_

#include <sys/types.h>

#include <cstdint>

namespace confstream {

// Plain data; from /proc/PID.
struct ProcessUsage {
  // Zeros if there is no such process.
  static ProcessUsage Of(pid_t pid);

  int64_t cpu_us = 0;      // user and system time, in the kernel's steps of usually 10 ms
  int64_t user_us = 0;     // its part in user mode
  int64_t rss_bytes = 0;   // resident now
  int64_t peak_bytes = 0;  // resident at most
  int64_t threads = 0;
  int64_t context_switches = 0;  // of the threads that live
};

// What is resident of the process now, as cheaply as it can be had; 0 if there is none.
int64_t ResidentBytes(pid_t pid);

// Time that all processors together were busy since the machine started, in microseconds: what is
// more than the processes under test used is noise.
int64_t MachineBusyMicroseconds();

}  // namespace confstream

#endif  // CONFSTREAM_TESTS_BENCH_PROCESS_USAGE_H_
