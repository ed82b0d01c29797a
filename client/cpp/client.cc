#include "client/cpp/client.h"

#include <algorithm>
#include <iterator>

#include "client/cpp/connection.h"
#include "client/cpp/watch_runner.h"

namespace confstream {
inline namespace client {

std::string_view StatusCodeName(StatusCode code) {
  static constexpr std::string_view kNames[] = {"OK",
                                                "CANCELLED",
                                                "UNKNOWN",
                                                "INVALID_ARGUMENT",
                                                "DEADLINE_EXCEEDED",
                                                "NOT_FOUND",
                                                "ALREADY_EXISTS",
                                                "PERMISSION_DENIED",
                                                "RESOURCE_EXHAUSTED",
                                                "FAILED_PRECONDITION",
                                                "ABORTED",
                                                "OUT_OF_RANGE",
                                                "UNIMPLEMENTED",
                                                "INTERNAL",
                                                "UNAVAILABLE",
                                                "DATA_LOSS",
                                                "UNAUTHENTICATED"};
  const size_t number = static_cast<size_t>(code);
  return number < std::size(kNames) ? kNames[number] : "UNKNOWN";
}

const File* Snapshot::Find(std::string_view path) const {
  const auto found =
      std::lower_bound(files.begin(), files.end(), path,
                       [](const File& file, std::string_view p) { return file.path < p; });
  return found != files.end() && found->path == path ? &*found : nullptr;
}

Client::Client(std::string_view address) : Client(address, nullptr) {}

Client::Client(std::string_view address, std::shared_ptr<grpc::ChannelCredentials> credentials) {
  auto connection = Connection::To({address.data(), address.size()}, std::move(credentials));
  if (connection.ok()) {
    connection_ = *std::move(connection);
  } else {
    error_ = Status(StatusCode::kInvalidArgument, std::string(connection.status().message()));
  }
}

Watch::Watch(const Client& client, WatchOptions options)
    : runner_(WatchRunner::Start(client.connection_, client.error_, std::move(options))) {}

Watch::~Watch() {
  if (runner_ != nullptr) runner_->Close();
}

Watch::Watch(Watch&&) noexcept = default;

Watch& Watch::operator=(Watch&& other) noexcept {
  if (this != &other) {
    if (runner_ != nullptr) runner_->Close();
    runner_ = std::move(other.runner_);
  }
  return *this;
}

Waited Watch::Wait(std::chrono::milliseconds timeout) { return runner_->Wait(timeout); }

std::shared_ptr<const Snapshot> Watch::Current() const { return runner_->Current(); }

bool Watch::stale() const { return runner_->stale(); }

Status Watch::status() const { return runner_->status(); }

Status Watch::Report(const Snapshot& snapshot, Outcome outcome, std::string_view reason) {
  return runner_->Report(snapshot, outcome, reason);
}

void Watch::Close() { runner_->Close(); }

}  // namespace client
}  // namespace confstream
