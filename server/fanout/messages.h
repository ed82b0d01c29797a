// The server's types as messages of the API.

#ifndef CONFSTREAM_SERVER_FANOUT_MESSAGES_H_
#define CONFSTREAM_SERVER_FANOUT_MESSAGES_H_

#include <cstddef>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "confstream/v1/config_service.pb.h"
#include "server/fanout/resume_token.h"
#include "server/snapshot/snapshot.h"
#include "server/snapshot/source_state.h"

namespace confstream {

void FillTime(absl::Time time, google::protobuf::Timestamp* message);

// Where the content came from.
void FillOrigin(SnapshotOrigin origin, int64_t rolled_back_to, v1::ResponseHeader* header);

// Everything but the resume token, which depends on a view.
void FillHeaderWithoutToken(const Snapshot& snapshot, v1::ResponseHeader* header);

void FillHeader(const Snapshot& snapshot, const ResumeToken& token, v1::ResponseHeader* header);

// Everything but the content.
void FillFile(const SnapshotFile& file, v1::ConfigFile* message);

void FillPin(const Pin& pin, v1::Pin* message);
void FillPinEnd(const PinEnd& end, v1::PinEnd* message);

void FillViolation(const Violation& violation, v1::Violation* message);

// At most `max_violations` of the violations.
void FillStatus(const SourceState& state, size_t max_violations, v1::SourceStatus* message);

// Media type by the extension of `path`.
absl::string_view ContentType(absl::string_view path);

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_FANOUT_MESSAGES_H_
