// Ownership of a file descriptor.

#ifndef CONFSTREAM_SERVER_BASE_UNIQUE_FD_H_
#define CONFSTREAM_SERVER_BASE_UNIQUE_FD_H_

#include <unistd.h>

#include <utility>

namespace confstream {

// Closes the descriptor that it holds when it goes.
class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    if (this != &other) Reset(std::exchange(other.fd_, -1));
    return *this;
  }
  ~UniqueFd() { Reset(); }

  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }
  int Release() { return std::exchange(fd_, -1); }
  void Reset(int fd = -1) {
    if (fd_ >= 0) close(fd_);
    fd_ = fd;
  }

 private:
  int fd_ = -1;
};

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_BASE_UNIQUE_FD_H_
