// Publishes to etcd: puts one key.

#ifndef CONFSTREAM_TESTS_BENCH_ETCD_FEED_H_
#define CONFSTREAM_TESTS_BENCH_ETCD_FEED_H_

#include <cstdint>
#include <memory>
#include <string>

#include "etcd.grpc.pb.h"
#include "tests/bench/feed.h"

namespace confstream {

class EtcdFeed final : public Feed {
 public:
  EtcdFeed(const std::string& address, std::string key);

  // Returns once etcd has answered; the time is the one just before it was asked.
  absl::StatusOr<int64_t> Publish(const std::string& payload) override;

 private:
  const std::string key_;
  const std::unique_ptr<etcdserverpb::KV::Stub> stub_;
};

}  // namespace confstream

#endif  // CONFSTREAM_TESTS_BENCH_ETCD_FEED_H_
