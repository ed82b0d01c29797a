// The content of a version as streams are sent it: a snapshot or a delta.

#ifndef CONFSTREAM_SERVER_FANOUT_VIEW_MESSAGE_H_
#define CONFSTREAM_SERVER_FANOUT_VIEW_MESSAGE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "confstream/v1/config_service.pb.h"
#include "server/fanout/fragment.h"
#include "server/fanout/view_position.h"

namespace confstream {

// Immutable once constructed, shared by all streams that are sent it.
class ViewMessage {
 public:
  virtual ~ViewMessage() = default;
  ViewMessage(const ViewMessage&) = delete;
  ViewMessage& operator=(const ViewMessage&) = delete;

  // Tells this object from every other, for as long as the process lives.
  uint64_t id() const { return id_; }
  // Where a stream stands that was sent all of it.
  const std::shared_ptr<const ViewPosition>& position() const { return position_; }

  size_t fragment_count() const { return fragments_.size(); }
  // A serialized WatchResponse with nothing but the header, the event and more_fragments.
  std::string EncodeFragment(size_t index) const;

 protected:
  ViewMessage();

  // Set by the constructors of derived classes.
  std::shared_ptr<const ViewPosition> position_;
  std::vector<Fragment> fragments_;  // at least one

 private:
  virtual void FillEvent(const Fragment& fragment, bool last,
                         v1::WatchResponse* response) const = 0;

  const uint64_t id_;
};

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_FANOUT_VIEW_MESSAGE_H_
