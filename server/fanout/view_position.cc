#include "server/fanout/view_position.h"

#include "confstream/v1/config_service.pb.h"

namespace confstream {

std::shared_ptr<const ViewPosition> PositionBeforeFirst(const std::string& source,
                                                        const std::string& epoch) {
  auto position = std::make_shared<ViewPosition>();
  v1::WatchResponse response;
  response.mutable_header()->set_source(source);
  response.mutable_header()->set_epoch(epoch);
  position->token.epoch = epoch;
  position->run = std::make_shared<ViewRun>(0);
  position->header = response.SerializeAsString();
  return position;
}

}  // namespace confstream
