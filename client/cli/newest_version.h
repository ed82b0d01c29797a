// Hands the newest version from the thread that watches to the one that works with it.

#ifndef CONFSTREAM_CLIENT_CLI_NEWEST_VERSION_H_
#define CONFSTREAM_CLIENT_CLI_NEWEST_VERSION_H_

#include <sys/eventfd.h>

#include <memory>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "client/cpp/received_snapshot.h"
#include "server/base/mutex.h"
#include "server/base/unique_fd.h"

namespace confstream {

// One place: a version that was not taken yet is replaced by a newer one. Thread-safe.
class NewestVersion {
 public:
  NewestVersion() : event_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

  // Readable while something new was put that nobody has taken.
  int fd() const { return event_.get(); }

  void Put(std::shared_ptr<const ReceivedSnapshot> snapshot) {
    MutexLock lock(&mu_);
    snapshot_ = std::move(snapshot);
    eventfd_write(event_.get(), 1);
  }

  // Nothing more comes: the watch ended like this.
  void End(const absl::Status& status) {
    MutexLock lock(&mu_);
    end_ = status;
    eventfd_write(event_.get(), 1);
  }

  // The newest version; null: it was taken before.
  std::shared_ptr<const ReceivedSnapshot> Take() {
    MutexLock lock(&mu_);
    eventfd_t ignored = 0;
    eventfd_read(event_.get(), &ignored);
    return std::exchange(snapshot_, nullptr);
  }

  // How the watch ended, if it has.
  std::optional<absl::Status> end() {
    MutexLock lock(&mu_);
    return end_;
  }

 private:
  const UniqueFd event_;
  Mutex mu_;
  std::shared_ptr<const ReceivedSnapshot> snapshot_ ABSL_GUARDED_BY(mu_);
  std::optional<absl::Status> end_ ABSL_GUARDED_BY(mu_);
};

}  // namespace confstream

#endif  // CONFSTREAM_CLIENT_CLI_NEWEST_VERSION_H_
