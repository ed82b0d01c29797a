#include "tests/bench/etcd_feed.h"

#include <grpcpp/grpcpp.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "tests/bench/payload.h"

namespace confstream {

EtcdFeed::EtcdFeed(const std::string& address, std::string key)
    : key_(std::move(key)),
      stub_(etcdserverpb::KV::NewStub(
          grpc::CreateChannel(address, grpc::InsecureChannelCredentials()))) {}

absl::StatusOr<int64_t> EtcdFeed::Publish(const std::string& payload) {
  etcdserverpb::PutRequest request;
  request.set_key(key_);
  request.set_value(payload);
  etcdserverpb::PutResponse response;
  grpc::ClientContext context;
  context.set_wait_for_ready(true);
  const int64_t began = MonotonicNanoseconds();
  const grpc::Status status = stub_->Put(&context, request, &response);
  if (!status.ok()) {
    return absl::UnavailableError(absl::StrCat("etcd refused a Put: ", status.error_message()));
  }
  return began;
}

}  // namespace confstream
