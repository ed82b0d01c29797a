// The connection to a server, shared by all calls and streams of a program.

#ifndef CONFSTREAM_CLIENT_CPP_CONNECTION_H_
#define CONFSTREAM_CLIENT_CPP_CONNECTION_H_

#include <grpcpp/channel.h>
#include <grpcpp/security/credentials.h>

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/base/mutex.h"

namespace confstream {

// Owns the channel. Connects when the first call needs it; pings an open connection with calls on
// it every 20 s, so that a peer that vanished without a word is noticed. Thread-safe.
class Connection {
 public:
  // `address` is host:port, [v6-address]:port or unix:PATH. Without credentials the connection is
  // neither encrypted nor authenticated. INVALID_ARGUMENT: it is no such address.
  static absl::StatusOr<std::unique_ptr<Connection>> To(
      absl::string_view address, std::shared_ptr<grpc::ChannelCredentials> credentials = nullptr);

  const std::string& address() const { return address_; }

  // The channel to make calls on.
  std::shared_ptr<grpc::Channel> channel();

  // Gives up `failed` if it could not connect and is still the channel in use. The next channel()
  // then connects at once: how often is for the caller to decide, not for the channel, whose own
  // backoff would come on top and which fails all calls while it waits.
  void ReplaceIfUnconnected(const std::shared_ptr<grpc::Channel>& failed);

 private:
  Connection(std::string address, std::string target,
             std::shared_ptr<grpc::ChannelCredentials> credentials);
  std::shared_ptr<grpc::Channel> NewChannel() const;

  const std::string address_;
  const std::string target_;
  const std::shared_ptr<grpc::ChannelCredentials> credentials_;
  Mutex mu_;
  std::shared_ptr<grpc::Channel> channel_ ABSL_GUARDED_BY(mu_);
};

}  // namespace confstream

#endif  // CONFSTREAM_CLIENT_CPP_CONNECTION_H_
