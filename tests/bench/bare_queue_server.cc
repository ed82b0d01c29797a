// The bare limit, on gRPC's completion queues: as bare_callback_server, but each queue has one
// thread, which alone touches its streams; whoever publishes only wakes it. It runs until it is
// killed.
//
//   bare_queue_server FEED_SOCKET [THREADS]     prints the port that it listens on

#include <grpcpp/alarm.h>
#include <grpcpp/grpcpp.h>
#include <unistd.h>

#include <cstdlib>
#include <ctime>
#include <iostream>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "confstream/v1/config_service.grpc.pb.h"
#include "server/base/mutex.h"
#include "tests/bench/socket_feed.h"

namespace confstream {
namespace {

using BareService = v1::ConfigService::WithRawMethod_Watch<v1::ConfigService::Service>;

// What is to be sent. Thread-safe.
class NewestPayload {
 public:
  void Set(grpc::Slice payload) {
    MutexLock lock(&mu_);
    payload_ = std::move(payload);
    ++number_;
  }

  std::pair<int64_t, grpc::Slice> Get() const {
    MutexLock lock(&mu_);
    return {number_, payload_};
  }

 private:
  mutable Mutex mu_;
  int64_t number_ ABSL_GUARDED_BY(mu_) = 0;
  grpc::Slice payload_ ABSL_GUARDED_BY(mu_);
};

class BareQueue;

// One call, from waiting for it on. Thread-compatible: the queue's thread owns it.
class BareStream {
 public:
  BareStream(BareService* service, BareQueue* queue, grpc::ServerCompletionQueue* completions)
      : service_(service), queue_(queue), writer_(&context_) {
    service_->RequestWatch(&context_, &request_, &writer_, completions, completions, this);
  }

  void Proceed(bool ok);
  void SendNewest();

 private:
  BareService* const service_;
  BareQueue* const queue_;
  grpc::ServerContext context_;
  grpc::ByteBuffer request_;
  grpc::ServerAsyncWriter<grpc::ByteBuffer> writer_;
  bool open_ = false;
  bool busy_ = true;  // an event of this stream is under way
  bool over_ = false;
  int64_t sent_ = 0;
};

// A queue with its thread and its streams.
class BareQueue {
 public:
  BareQueue(BareService* service, const NewestPayload* newest,
            std::unique_ptr<grpc::ServerCompletionQueue> completions)
      : service_(service), newest_(newest), completions_(std::move(completions)) {}

  // Runs for ever.
  void Run() {
    Accept();
    void* tag = nullptr;
    bool ok = false;
    while (completions_->Next(&tag, &ok)) {
      if (tag != nullptr) {
        static_cast<BareStream*>(tag)->Proceed(ok);
      } else {
        for (BareStream* stream : streams_) stream->SendNewest();
      }
    }
  }

  // The thread that publishes calls it; nobody else sets the alarm.
  void Wake() {
    alarm_ = std::make_unique<grpc::Alarm>();
    alarm_->Set(completions_.get(), gpr_time_0(GPR_CLOCK_MONOTONIC), nullptr);
  }

  void Accept() { new BareStream(service_, this, completions_.get()); }
  void Add(BareStream* stream) { streams_.insert(stream); }
  void Remove(BareStream* stream) { streams_.erase(stream); }
  std::pair<int64_t, grpc::Slice> Newest() const { return newest_->Get(); }

 private:
  BareService* const service_;
  const NewestPayload* const newest_;
  const std::unique_ptr<grpc::ServerCompletionQueue> completions_;
  std::unique_ptr<grpc::Alarm> alarm_;
  std::set<BareStream*> streams_;
};

void BareStream::Proceed(bool ok) {
  busy_ = false;
  if (!open_) {
    open_ = true;
    queue_->Accept();
    queue_->Add(this);
  } else if (over_) {
    delete this;
    return;
  } else if (!ok) {
    over_ = true;
    queue_->Remove(this);
    busy_ = true;
    writer_.Finish(grpc::Status::CANCELLED, this);
    return;
  }
  SendNewest();
}

void BareStream::SendNewest() {
  if (busy_) return;
  const auto newest = queue_->Newest();
  if (newest.first == sent_) return;
  sent_ = newest.first;
  busy_ = true;
  writer_.Write(grpc::ByteBuffer(&newest.second, 1), this);
}

int Serve(const std::string& feed_path, int threads) {
  const auto feed = SocketFeedReader::Listen(feed_path);
  if (!feed.ok()) {
    std::cerr << "bare_queue_server: " << feed.status().message() << "\n";
    return 1;
  }
  NewestPayload newest;
  BareService service;
  int port = 0;
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(&service);
  std::vector<std::unique_ptr<BareQueue>> queues;
  for (int i = 0; i < threads; ++i) {
    queues.push_back(std::make_unique<BareQueue>(&service, &newest, builder.AddCompletionQueue()));
  }
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  std::vector<std::thread> running;
  for (const auto& queue : queues) running.emplace_back([&queue] { queue->Run(); });
  std::cout << port << std::endl;
  while (true) {
    const std::string payload = (*feed)->Receive();
    if (payload.empty()) break;
    newest.Set(grpc::Slice(payload));
    for (const auto& queue : queues) queue->Wake();
  }
  for (std::thread& thread : running) thread.join();  // never: who started this ends it
  return 0;
}

}  // namespace
}  // namespace confstream

int main(int argc, char** argv) {
  const int threads = argc > 2 ? std::atoi(argv[2]) : 1;
  if (argc < 2 || argc > 3 || threads < 1) {
    std::cerr << "usage: bare_queue_server FEED_SOCKET [THREADS]\n";
    return 2;
  }
  return confstream::Serve(argv[1], threads);
}
