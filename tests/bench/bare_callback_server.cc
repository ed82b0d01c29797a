// The bare limit, on gRPC's callback API: the smallest server that sends every stream of a method
// the newest payload. What the benchmarks hold confstreamd against: it has no files, no versions,
// no checks, and no locks beyond those that gRPC's rule of one write at a time forces. It runs
// until it is killed.
//
//   bare_callback_server FEED_SOCKET     prints the port that it listens on

#include <grpcpp/grpcpp.h>
#include <unistd.h>

#include <iostream>
#include <memory>
#include <set>
#include <string>

#include "confstream/v1/config_service.grpc.pb.h"
#include "server/base/mutex.h"
#include "tests/bench/socket_feed.h"

namespace confstream {
namespace {

class BareStreams;

// One stream; gRPC calls OnDone last. Thread-safe.
class BareStream final : public grpc::ServerWriteReactor<grpc::ByteBuffer> {
 public:
  explicit BareStream(BareStreams* streams) : streams_(streams) {}

  // Sends `payload`, or, if the reader is slow, what is offered last meanwhile.
  void Offer(const grpc::Slice& payload) {
    MutexLock lock(&mu_);
    pending_ = payload;
    has_pending_ = true;
    PumpLocked();
  }

  void OnWriteDone(bool ok) override {
    MutexLock lock(&mu_);
    writing_ = false;
    over_ = over_ || !ok;
    PumpLocked();
  }

  void OnCancel() override {
    MutexLock lock(&mu_);
    over_ = true;
    PumpLocked();
  }

  void OnDone() override;

 private:
  void PumpLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    if (writing_ || finished_) return;
    if (over_) {
      finished_ = true;
      Finish(grpc::Status::CANCELLED);
    } else if (has_pending_) {
      buffer_ = grpc::ByteBuffer(&pending_, 1);
      has_pending_ = false;
      writing_ = true;
      StartWrite(&buffer_);
    }
  }

  BareStreams* const streams_;
  Mutex mu_;
  grpc::Slice pending_ ABSL_GUARDED_BY(mu_);
  grpc::ByteBuffer buffer_ ABSL_GUARDED_BY(mu_);
  bool has_pending_ ABSL_GUARDED_BY(mu_) = false;
  bool writing_ ABSL_GUARDED_BY(mu_) = false;
  bool over_ ABSL_GUARDED_BY(mu_) = false;
  bool finished_ ABSL_GUARDED_BY(mu_) = false;
};

// All of them, and what they were offered last. Thread-safe.
class BareStreams {
 public:
  BareStream* Open() {
    auto* const stream = new BareStream(this);
    MutexLock lock(&mu_);
    streams_.insert(stream);
    stream->Offer(newest_);
    return stream;
  }

  void Remove(BareStream* stream) {
    MutexLock lock(&mu_);
    streams_.erase(stream);
  }

  void Publish(const std::string& payload) {
    MutexLock lock(&mu_);
    newest_ = grpc::Slice(payload);
    for (BareStream* stream : streams_) stream->Offer(newest_);
  }

 private:
  Mutex mu_;
  grpc::Slice newest_ ABSL_GUARDED_BY(mu_);
  std::set<BareStream*> streams_ ABSL_GUARDED_BY(mu_);
};

void BareStream::OnDone() {
  streams_->Remove(this);
  delete this;
}

class BareService final
    : public v1::ConfigService::WithRawCallbackMethod_Watch<v1::ConfigService::Service> {
 public:
  explicit BareService(BareStreams* streams) : streams_(streams) {}

  grpc::ServerWriteReactor<grpc::ByteBuffer>* Watch(grpc::CallbackServerContext* /*context*/,
                                                    const grpc::ByteBuffer* /*request*/) override {
    return streams_->Open();
  }

 private:
  BareStreams* const streams_;
};

int Serve(const std::string& feed_path) {
  const auto feed = SocketFeedReader::Listen(feed_path);
  if (!feed.ok()) {
    std::cerr << "bare_callback_server: " << feed.status().message() << "\n";
    return 1;
  }
  BareStreams streams;
  BareService service(&streams);
  int port = 0;
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(&service);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  std::cout << port << std::endl;
  while (true) {
    const std::string payload = (*feed)->Receive();
    if (payload.empty()) break;
    streams.Publish(payload);
  }
  pause();  // the streams stay open: who started this ends it
  return 0;
}

}  // namespace
}  // namespace confstream

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: bare_callback_server FEED_SOCKET\n";
    return 2;
  }
  return confstream::Serve(argv[1]);
}
