// What gRPC and protobuf log, in our log.

#ifndef CONFSTREAM_SERVER_SERVE_GRPC_LOG_H_
#define CONFSTREAM_SERVER_SERVE_GRPC_LOG_H_

#include "absl/time/time.h"
#include "server/base/log.h"

namespace confstream {

// While it lives, the lines of the two, which would go to standard error as they are, are lines of
// the log; of many in a short time, which a client may provoke, some only. They know one log in a
// process, so there is one at a time: main owns it.
class GrpcLog {
 public:
  // At most so many lines in so long.
  static constexpr int kMaxLines = 20;
  static constexpr absl::Duration kWindow = absl::Minutes(1);

  // `log` outlives this.
  explicit GrpcLog(Logger* log);
  ~GrpcLog();
  GrpcLog(const GrpcLog&) = delete;
  GrpcLog& operator=(const GrpcLog&) = delete;
};

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_SERVE_GRPC_LOG_H_
