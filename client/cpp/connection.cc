#include "client/cpp/connection.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/support/channel_arguments.h>

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "server/base/text.h"

namespace confstream {
namespace {

constexpr int kKeepaliveTimeMs = 20000;  // servers allow a ping every 10 s
constexpr int kKeepaliveTimeoutMs = 10000;
constexpr int kConnectTimeoutMs = 5000;
constexpr int kMostMessageBytes = 64 << 20;  // docs/clients.md

bool IsHostAndPort(absl::string_view address) {
  const size_t colon = address.rfind(':');
  if (colon == absl::string_view::npos || colon == 0) return false;
  const absl::string_view host = address.substr(0, colon);
  const bool bracketed = absl::StartsWith(host, "[") && absl::EndsWith(host, "]");
  if (!bracketed && absl::StrContains(host, ':')) return false;
  if (host.find_first_of("/ ") != absl::string_view::npos) return false;
  int port = 0;
  return absl::SimpleAtoi(address.substr(colon + 1), &port) && port > 0 && port < 65536;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Connection>> Connection::To(
    absl::string_view address, std::shared_ptr<grpc::ChannelCredentials> credentials) {
  if (HasControlCharacters(address) || !IsValidUtf8(address)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the server address `", EscapeForDisplay(address), "` has characters that no address has"));
  }
  if (credentials == nullptr) credentials = grpc::InsecureChannelCredentials();
  absl::string_view path = address;
  if (absl::ConsumePrefix(&path, "unix:") && !path.empty()) {
    return std::unique_ptr<Connection>(
        new Connection(std::string(address), std::string(address), std::move(credentials)));
  }
  if (IsHostAndPort(address)) {
    // With its scheme, so that no host name is taken for one.
    return std::unique_ptr<Connection>(new Connection(
        std::string(address), absl::StrCat("dns:///", address), std::move(credentials)));
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "the server address `", address,
      "` is neither host:port, such as 127.0.0.1:50051 or [::1]:50051, nor unix:PATH"));
}

Connection::Connection(std::string address, std::string target,
                       std::shared_ptr<grpc::ChannelCredentials> credentials)
    : address_(std::move(address)),
      target_(std::move(target)),
      credentials_(std::move(credentials)),
      channel_(NewChannel()) {}

std::shared_ptr<grpc::Channel> Connection::NewChannel() const {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveTimeMs);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  arguments.SetMaxReceiveMessageSize(kMostMessageBytes);
  // In this release the least time between two attempts is also how long one may take.
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, kConnectTimeoutMs);
  // Channels to one address otherwise share their backoff, and a new one would inherit it.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  // The server is on this node or this network: http_proxy is not meant for it.
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  return grpc::CreateCustomChannel(target_, credentials_, arguments);
}

std::shared_ptr<grpc::Channel> Connection::channel() {
  MutexLock lock(&mu_);
  return channel_;
}

void Connection::ReplaceIfUnconnected(const std::shared_ptr<grpc::Channel>& failed) {
  if (failed->GetState(/*try_to_connect=*/false) != GRPC_CHANNEL_TRANSIENT_FAILURE) return;
  MutexLock lock(&mu_);
  if (channel_ == failed) channel_ = NewChannel();
}

}  // namespace confstream
