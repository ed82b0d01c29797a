#include "client/cpp/source_watch.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/cpp/rpc_status.h"

namespace confstream {
namespace {

// Three heartbeats missed, by the API's own default if the request names none.
constexpr int kMissedHeartbeats = 3;
constexpr absl::Duration kDefaultHeartbeat = absl::Seconds(30);

// A server may ask for a longer wait than the backoff's, but not for any.
constexpr absl::Duration kMostRetryDelay = absl::Minutes(1);

absl::Duration StaleAfter(const v1::WatchRequest& request) {
  if (!request.has_heartbeat_interval()) return kMissedHeartbeats * kDefaultHeartbeat;
  const absl::Duration interval = absl::Seconds(request.heartbeat_interval().seconds()) +
                                  absl::Nanoseconds(request.heartbeat_interval().nanos());
  if (interval <= absl::ZeroDuration()) return absl::InfiniteDuration();
  return kMissedHeartbeats * interval;
}

absl::Status TimeOver(absl::Duration limit) {
  return absl::DeadlineExceededError(
      absl::StrCat("the time limit of ", absl::FormatDuration(limit), " is over"));
}

}  // namespace

bool IsWorthRetrying(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kOutOfRange:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kUnauthenticated:
    case absl::StatusCode::kUnimplemented:
      return false;
    default:
      return true;
  }
}

SourceWatch::SourceWatch(Connection* connection, SourceWatchOptions options,
                         WatchObserver* observer)
    : connection_(connection),
      options_(std::move(options)),
      observer_(observer),
      stale_after_(StaleAfter(options_.request)),
      assembler_(options_.max_bytes),
      backoff_(options_.first_backoff, options_.most_backoff) {}

absl::Status SourceWatch::Run() {
  const Instant begin = clock_.Now();
  time_limit_at_ = begin + options_.time_limit;
  last_heard_ = begin;
  while (true) {
    const std::shared_ptr<grpc::Channel> channel = connection_->channel();
    absl::Status ended = FollowStream(channel);
    const Instant stream_end = clock_.Now();
    if (stopped()) return absl::OkStatus();
    if (ended.ok() && options_.request.until_in_sync() && stream_in_sync_) return ended;
    if (stream_end >= time_limit_at_) return TimeOver(options_.time_limit);
    if (ended.ok()) ended = absl::UnavailableError("the server ended the stream");
    if (!options_.retry || !IsWorthRetrying(ended)) return ended;

    connection_->ReplaceIfUnconnected(channel);
    const absl::Duration asked = RetryDelay(ended).value_or(absl::ZeroDuration());
    const absl::Duration delay = std::max(backoff_.Next(), std::min(asked, kMostRetryDelay));
    observer_->OnDisconnected(ended, delay);
    WaitToRetry(delay);
    if (stopped()) return absl::OkStatus();
    if (clock_.Now() >= time_limit_at_) return TimeOver(options_.time_limit);
  }
}

absl::Status SourceWatch::FollowStream(const std::shared_ptr<grpc::Channel>& channel) {
  v1::WatchRequest request = options_.request;
  request.set_resume_token(assembler_.resume_token());
  assembler_.BeginStream();
  stream_in_sync_ = false;
  ResponseStream stream(channel, request, &clock_);
  {
    MutexLock lock(&mu_);
    if (stop_) return absl::CancelledError();
    stream_ = &stream;
  }
  // Why this client ends the stream, if it does.
  absl::Status reason;
  Instant heard = clock_.Now();
  for (bool open = true; open;) {
    const Instant silent_at = heard + stale_after_;
    const Instant stale_at = told_stale_ ? Instant::Infinite() : last_heard_ + stale_after_;
    switch (stream.Next(std::min({silent_at, stale_at, time_limit_at_}))) {
      case ResponseStream::Event::kEnded:
        open = false;
        break;
      case ResponseStream::Event::kDeadline:
        open = clock_.Now() < std::min(silent_at, time_limit_at_);
        if (!open) {
          // A server that hangs behind a proxy would hold the stream open for ever.
          reason = absl::UnavailableError(absl::StrCat(
              "the server sent nothing for ",
              absl::FormatDuration(absl::Trunc(clock_.Now() - heard, absl::Milliseconds(1)))));
        }
        break;
      case ResponseStream::Event::kMessage:
        reason = Take(stream.message());
        // After it: however long the observer took, the server was not silent.
        last_heard_ = heard = clock_.Now();
        open = reason.ok() && !stopped();
        break;
    }
    TellIfStale();
  }
  const absl::Status ended = stream.Finish();
  {
    MutexLock lock(&mu_);
    stream_ = nullptr;
  }
  return reason.ok() ? ended : reason;
}

absl::Status SourceWatch::Take(const v1::WatchResponse& message) {
  told_stale_ = false;
  if (!message.watch_id().empty()) observer_->OnConnected(message.watch_id());
  const absl::StatusOr<std::shared_ptr<const ReceivedSnapshot>> taken = assembler_.Take(message);
  if (!taken.ok()) {
    assembler_.ForgetToken();
    observer_->OnStartedOver(taken.status());
    return taken.status();
  }
  stream_in_sync_ = message.in_sync();
  const bool content = message.has_snapshot() || message.has_delta();
  const auto& held = assembler_.held();
  if (!content && held != nullptr && held->header.version() == message.header().version() &&
      held->header.epoch() == message.header().epoch()) {
    observer_->OnPosition(held);
  }
  if (!content && message.in_sync() && message.header().version() != 0) observer_->OnInSync();
  if (*taken != nullptr) {
    backoff_.Reset();
    observer_->OnSnapshot(*taken);
  } else if (message.has_heartbeat()) {
    backoff_.Reset();
    observer_->OnHeartbeat(message.header(), message.in_sync());
  } else if (message.has_source_status()) {
    observer_->OnStatus(message.header(), message.source_status());
  }
  return absl::OkStatus();
}

void SourceWatch::TellIfStale() {
  const absl::Duration silence = clock_.Now() - last_heard_;
  if (told_stale_ || silence < stale_after_) return;
  told_stale_ = true;
  observer_->OnStale(silence);
}

void SourceWatch::WaitToRetry(absl::Duration delay) {
  const Instant end = std::min(clock_.Now() + delay, time_limit_at_);
  while (true) {
    TellIfStale();
    const Instant now = clock_.Now();
    if (now >= end) return;
    const Instant stale_at = told_stale_ ? Instant::Infinite() : last_heard_ + stale_after_;
    MutexLock lock(&mu_);
    if (stop_) return;
    stop_changed_.WaitFor(&mu_, std::min(end, stale_at) - now);
  }
}

void SourceWatch::Stop() {
  MutexLock lock(&mu_);
  stop_ = true;
  if (stream_ != nullptr) stream_->Cancel();
  stop_changed_.NotifyAll();
}

bool SourceWatch::stopped() {
  MutexLock lock(&mu_);
  return stop_;
}

}  // namespace confstream
