// To be loaded before the C library (LD_PRELOAD): a disk that takes a while. What is published and
// not recorded yet is then many versions, so that a kill hits the time between more often than not.

#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

namespace {

int SyncSlowly(long call, int fd) {
  const timespec pause = {0, 30 * 1000 * 1000};
  nanosleep(&pause, nullptr);
  return static_cast<int>(syscall(call, fd));
}

}  // namespace

extern "C" int fsync(int fd) { return SyncSlowly(SYS_fsync, fd); }
extern "C" int fdatasync(int fd) { return SyncSlowly(SYS_fdatasync, fd); }
