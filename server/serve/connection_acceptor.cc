#include "server/serve/connection_acceptor.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/file_system.h"

namespace confstream {
namespace {

// Of the eight shares that DescriptorShare() makes of all descriptors. A reading may take the other
// two, for directories and for files.
constexpr size_t kConnectionShares = 6;
// How long the kernel is left alone after it had nothing to give.
constexpr int kPauseMs = 100;
constexpr absl::Duration kSilence = absl::Minutes(1);
constexpr char kRemedy[] = "; let the server open more, with LimitNOFILE= of its unit or ulimit -n";

UniqueFd NewEvent() { return UniqueFd(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)); }

// An invalid one: errno says why.
UniqueFd AcceptOn(int listener) {
  return UniqueFd(accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
}

// Whether its client is still there, or has left what it said.
bool IsConnected(int connection) {
  sockaddr_storage peer{};
  socklen_t size = sizeof(peer);
  return getpeername(connection, reinterpret_cast<sockaddr*>(&peer), &size) == 0;
}

}  // namespace

ConnectionAcceptor::ConnectionAcceptor(std::vector<int> listeners, Taker take, const Clock* clock,
                                       Logger* log)
    : listeners_(std::move(listeners)),
      take_(std::move(take)),
      clock_(clock),
      log_(log),
      stop_(NewEvent()),
      spare_(NewEvent()),
      tell_from_(clock->Now()) {}

absl::StatusOr<std::unique_ptr<ConnectionAcceptor>> ConnectionAcceptor::Start(
    std::vector<int> listeners, Taker take, const Clock* clock, Logger* log) {
  std::unique_ptr<ConnectionAcceptor> acceptor(
      new ConnectionAcceptor(std::move(listeners), std::move(take), clock, log));
  // Without the first, Stop() could not reach the thread.
  if (!acceptor->stop_.valid() || !acceptor->spare_.valid()) {
    return absl::FailedPreconditionError(
        absl::StrCat("connections cannot be accepted: ", std::strerror(errno), kRemedy));
  }
  acceptor->thread_ = std::thread([running = acceptor.get()] { running->Run(); });
  return acceptor;
}

ConnectionAcceptor::~ConnectionAcceptor() { Stop(); }

void ConnectionAcceptor::Stop() {
  if (!thread_.joinable()) return;
  eventfd_write(stop_.get(), 1);
  thread_.join();
}

void ConnectionAcceptor::Run() {
  std::vector<pollfd> polled = {{stop_.get(), POLLIN, 0}};
  for (const int listener : listeners_) polled.push_back({listener, POLLIN, 0});
  while (true) {
    if (poll(polled.data(), polled.size(), -1) < 0) continue;  // a signal
    bool exhausted = false;
    for (const pollfd& each : polled) {
      if (each.revents == 0) continue;
      if (each.fd == stop_.get()) return;
      // One a turn: accept() wants a descriptor even to say that nobody waits.
      exhausted |= !Accept(each.fd);
    }
    if (exhausted) poll(polled.data(), 1, kPauseMs);
  }
}

bool ConnectionAcceptor::Accept(int listener) {
  UniqueFd connection = AcceptOn(listener);
  if (!connection.valid()) {
    // The client was faster gone.
    if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED) return true;
    return SendAway(listener);
  }
  // The kernel gives the lowest number that is free: so many descriptors are open.
  const auto open = static_cast<size_t>(connection.get());
  if (open >= kConnectionShares * DescriptorShare()) {
    Refused(absl::StrCat(open, " files are open, and a quarter of those that may be is kept for ",
                         "reading sources", kRemedy));
    return true;
  }
  // gRPC would log an error for each that is gone.
  if (IsConnected(connection.get())) take_(std::move(connection), listener);
  return true;
}

bool ConnectionAcceptor::SendAway(int listener) {
  const int error = errno;
  spare_.Reset();
  UniqueFd connection = AcceptOn(listener);
  const bool accepted = connection.valid();
  Refused(absl::StrCat(std::strerror(error), error == EMFILE ? kRemedy : ""));
  connection.Reset();
  spare_ = NewEvent();
  return accepted;
}

void ConnectionAcceptor::Refused(absl::string_view why) {
  ++refused_;
  const Instant now = clock_->Now();
  if (log_ == nullptr || now < tell_from_) return;
  log_->Warning("connections are refused", {{"reason", why}, {"refused", refused_}});
  refused_ = 0;
  tell_from_ = now + kSilence;
}

}  // namespace confstream
