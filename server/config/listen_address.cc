#include "server/config/listen_address.h"

#include <arpa/inet.h>
#include <sys/un.h>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "server/config/setting_text.h"

namespace confstream {
namespace {

constexpr char kForms[] = "write HOST:PORT, [IPV6]:PORT or unix:PATH, for example 127.0.0.1:50051";

absl::Status NotAnAddress() {
  return absl::InvalidArgumentError(absl::StrCat("is not an address to listen on: ", kForms));
}

bool IsLoopbackV4(const std::string& host) {
  in_addr address{};
  return inet_pton(AF_INET, host.c_str(), &address) == 1 && ntohl(address.s_addr) >> 24 == 127;
}

absl::StatusOr<ListenAddress> ParseUnix(absl::string_view path, absl::string_view directory) {
  if (absl::StartsWith(path, "//")) path.remove_prefix(2);  // unix:///run/x is unix:/run/x
  if (path.empty()) return NotAnAddress();
  absl::StatusOr<std::string> absolute = ParsePathSetting(path, directory);
  if (!absolute.ok()) return absolute.status();
  constexpr size_t kMost = sizeof(sockaddr_un{}.sun_path) - 1;
  if (absolute->size() > kMost) {
    return absl::InvalidArgumentError(
        absl::StrCat("is too long for a Unix socket: write a path of "
                     "at most ",
                     kMost, " bytes"));
  }
  return ListenAddress{absl::StrCat("unix:", *absolute), true, false};
}

}  // namespace

absl::StatusOr<ListenAddress> ListenAddress::Parse(absl::string_view text,
                                                   absl::string_view directory) {
  absl::string_view path = text;
  if (absl::ConsumePrefix(&path, "unix:")) return ParseUnix(path, directory);

  const size_t colon = text.rfind(':');
  if (colon == absl::string_view::npos) return NotAnAddress();
  std::string host(text.substr(0, colon));
  int port = 0;
  const absl::string_view digits = text.substr(colon + 1);
  if (digits.empty() || digits.find_first_not_of("0123456789") != absl::string_view::npos ||
      !absl::SimpleAtoi(digits, &port) || port > 65535) {
    return absl::InvalidArgumentError(
        absl::StrCat("has no port from 0 to 65535 at its end: ", kForms));
  }
  if (host.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "has no host: write 127.0.0.1:", port, " for this machine, or [::]:", port, " for all"));
  }
  ListenAddress address;
  address.text = std::string(text);
  address.any_port = port == 0;
  if (host.front() == '[') {
    in6_addr v6{};
    if (host.back() != ']' ||
        inet_pton(AF_INET6, host.substr(1, host.size() - 2).c_str(), &v6) != 1) {
      return NotAnAddress();
    }
    address.local =
        IN6_IS_ADDR_LOOPBACK(&v6) || (IN6_IS_ADDR_V4MAPPED(&v6) && v6.s6_addr[12] == 127);
    return address;
  }
  if (host.find(':') != std::string::npos) {
    return absl::InvalidArgumentError(absl::StrCat(
        "has colons in its host: put an IPv6 address into brackets, for example [::1]:", port));
  }
  const bool plain = host.find_first_not_of(
                         "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                         "0123456789.-_") == std::string::npos;
  if (!plain) return NotAnAddress();
  address.local = host == "localhost" || IsLoopbackV4(host);
  return address;
}

}  // namespace confstream
