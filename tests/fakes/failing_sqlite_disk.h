// SQLite on a disk that can be made to fail, for tests.

#ifndef CONFSTREAM_TESTS_FAKES_FAILING_SQLITE_DISK_H_
#define CONFSTREAM_TESTS_FAKES_FAILING_SQLITE_DISK_H_

#include <sqlite3.h>

#include <atomic>

namespace confstream {

// While it lives, every database that is opened has its files through it. One at a time, made
// before the databases and destroyed after them; FailReads() is thread-safe.
class FailingSqliteDisk {
 public:
  FailingSqliteDisk() {
    real_ = sqlite3_vfs_find(nullptr);
    vfs_ = *real_;
    vfs_.zName = "failing";
    vfs_.xOpen = &Open;
    sqlite3_vfs_register(&vfs_, 1);
  }
  ~FailingSqliteDisk() {
    sqlite3_vfs_unregister(&vfs_);
    sqlite3_vfs_register(real_, 1);
    reads_fail_ = false;
  }
  FailingSqliteDisk(const FailingSqliteDisk&) = delete;
  FailingSqliteDisk& operator=(const FailingSqliteDisk&) = delete;

  // Reading gives EIO, until told otherwise.
  void FailReads(bool fail) { reads_fail_ = fail; }

 private:
  static int Open(sqlite3_vfs*, const char* name, sqlite3_file* file, int flags, int* out_flags) {
    const int result = real_->xOpen(real_, name, file, flags, out_flags);
    if (result != SQLITE_OK || (flags & SQLITE_OPEN_MAIN_DB) == 0) return result;
    methods_ = *file->pMethods;
    real_read_ = methods_.xRead;
    methods_.xRead = &Read;
    methods_.xFetch = nullptr;  // no way around by a mapping
    methods_.iVersion = 2;
    file->pMethods = &methods_;
    return SQLITE_OK;
  }
  static int Read(sqlite3_file* file, void* to, int count, sqlite3_int64 offset) {
    return reads_fail_ ? SQLITE_IOERR_READ : real_read_(file, to, count, offset);
  }

  inline static sqlite3_vfs* real_ = nullptr;
  inline static sqlite3_io_methods methods_{};
  inline static int (*real_read_)(sqlite3_file*, void*, int, sqlite3_int64) = nullptr;
  inline static std::atomic<bool> reads_fail_{false};
  sqlite3_vfs vfs_{};
};

}  // namespace confstream

#endif  // CONFSTREAM_TESTS_FAKES_FAILING_SQLITE_DISK_H_
