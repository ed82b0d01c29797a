// A file descriptor under a std::ostream, which remembers why a write failed.

#ifndef CONFSTREAM_CLIENT_CLI_FD_STREAMBUF_H_
#define CONFSTREAM_CLIENT_CLI_FD_STREAMBUF_H_

#include <unistd.h>

#include <array>
#include <cerrno>
#include <streambuf>

namespace confstream {

// Thread-compatible. The descriptor stays the caller's.
class FdStreambuf final : public std::streambuf {
 public:
  explicit FdStreambuf(int fd) : fd_(fd) { setp(buffer_.data(), buffer_.data() + buffer_.size()); }

  int fd() const { return fd_; }

  // errno of the first write that failed; 0 if none did. After it nothing more is written.
  int error() const { return error_; }

 protected:
  int_type overflow(int_type c) override {
    if (!WriteOut()) return traits_type::eof();
    if (!traits_type::eq_int_type(c, traits_type::eof())) sputc(traits_type::to_char_type(c));
    return traits_type::not_eof(c);
  }

  int sync() override { return WriteOut() ? 0 : -1; }

 private:
  bool WriteOut() {
    const char* begin = pbase();
    while (error_ == 0 && begin < pptr()) {
      const ssize_t written = write(fd_, begin, static_cast<size_t>(pptr() - begin));
      if (written >= 0) {
        begin += written;
      } else if (errno != EINTR) {
        error_ = errno;
      }
    }
    setp(buffer_.data(), buffer_.data() + buffer_.size());
    return error_ == 0;
  }

  const int fd_;
  int error_ = 0;
  std::array<char, 65536> buffer_;
};

}  // namespace confstream

#endif  // CONFSTREAM_CLIENT_CLI_FD_STREAMBUF_H_
