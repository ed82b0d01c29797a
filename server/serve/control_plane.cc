#include "server/serve/control_plane.h"

#include <algorithm>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "server/base/error_reason.h"
#include "server/fanout/messages.h"
#include "server/serve/grpc_status.h"
#include "server/serve/paging.h"
#include "server/serve/watch_request.h"
#include "server/snapshot/snapshot_diff.h"

namespace confstream {
namespace {

constexpr absl::Duration kLongestPin = absl::Hours(24 * 3650);
constexpr size_t kMaxReasonBytes = 1024;
constexpr size_t kMaxDiffedFileBytes = size_t{256} << 10;
constexpr size_t kMaxViolations = 100;

void FillSummary(const std::string& source, const VersionSummary& version,
                 v1::SnapshotSummary* message) {
  v1::ResponseHeader* header = message->mutable_header();
  header->set_source(source);
  header->set_epoch(version.epoch);
  header->set_version(version.version);
  header->set_digest(version.digest.Text());
  FillTime(version.publish_time, header->mutable_publish_time());
  FillOrigin(version.origin, version.rolled_back_to, header);
  message->set_file_count(version.file_count);
  message->set_size_bytes(version.size_bytes);
  message->set_changed_file_count(version.changed_file_count);
  message->set_removed_file_count(version.removed_file_count);
}

// Of what is served; while that is nothing, source and epoch only.
void FillServedHeader(const SourceState& state, v1::ResponseHeader* header) {
  header->set_source(state.source);
  header->set_epoch(state.epoch);
  if (state.snapshot != nullptr) FillHeaderWithoutToken(*state.snapshot, header);
}

absl::Status NotRetained(const std::string& source, int64_t version) {
  return ErrorWithReason(
      absl::StatusCode::kNotFound, kVersionNotRetained,
      absl::StrCat("version ", version, " of source `", source,
                   "` is not retained: `confstream history` (ListSnapshots) tells which are"));
}

// The retained version, `latest` for 0.
absl::StatusOr<std::shared_ptr<const Snapshot>> FindVersion(const SourceState& state,
                                                            int64_t version) {
  if (state.snapshot == nullptr || state.history == nullptr) {
    return ErrorWithReason(
        absl::StatusCode::kNotFound, kVersionNotRetained,
        absl::StrCat("source `", state.source, "` has nothing valid yet, so no versions"));
  }
  if (version == 0) return state.snapshot;
  auto found = state.history->Find(version);
  if (found == nullptr) return NotRetained(state.source, version);
  return found;
}

v1::SourceEventKind KindMessage(SourceEvent::Kind kind) {
  switch (kind) {
    case SourceEvent::kHint:
      return v1::SOURCE_EVENT_KIND_HINT;
    case SourceEvent::kResolve:
      return v1::SOURCE_EVENT_KIND_RESOLVE;
    case SourceEvent::kSettle:
      return v1::SOURCE_EVENT_KIND_SETTLE;
    case SourceEvent::kRead:
      return v1::SOURCE_EVENT_KIND_READ;
    case SourceEvent::kVerdict:
      return v1::SOURCE_EVENT_KIND_VERDICT;
    case SourceEvent::kVersion:
      return v1::SOURCE_EVENT_KIND_VERSION;
  }
  return v1::SOURCE_EVENT_KIND_UNSPECIFIED;
}

// One side of a change.
void FillSide(const SnapshotFile* file, bool with_content, v1::ConfigFile* message) {
  FillFile(*file, message);
  if (with_content) message->set_content(file->content->bytes);
}

void FillChange(const FileDifference& difference, bool include_content, bool sensitive,
                v1::FileChange* message) {
  message->set_path(difference.path());
  message->set_kind(difference.from == nullptr ? v1::FILE_CHANGE_KIND_ADDED
                    : difference.to == nullptr ? v1::FILE_CHANGE_KIND_REMOVED
                                               : v1::FILE_CHANGE_KIND_MODIFIED);
  const auto too_large = [](const SnapshotFile* file) {
    return file != nullptr && file->content->bytes.size() > kMaxDiffedFileBytes;
  };
  const bool omitted =
      include_content && (sensitive || too_large(difference.from) || too_large(difference.to));
  const bool with_content = include_content && !omitted;
  message->set_content_omitted(omitted);
  if (difference.from != nullptr) {
    FillSide(difference.from, with_content, message->mutable_from_file());
  }
  if (difference.to != nullptr) FillSide(difference.to, with_content, message->mutable_to_file());
}

}  // namespace

absl::Status ControlPlane::ListSnapshots(const v1::ListSnapshotsRequest& request,
                                         v1::ListSnapshotsResponse* response) const {
  const auto page_size = PageSize(request.page_size());
  if (!page_size.ok()) return page_size.status();
  const auto position = DecodePageToken(request.page_token(), 1);
  if (!position.ok()) return position.status();
  int64_t before = std::numeric_limits<int64_t>::max();
  // A token of another list may well be no version.
  if (!position->empty() && (!absl::SimpleAtoi((*position)[0], &before) || before < 1)) {
    return InvalidPageToken();
  }
  const auto state = hub_->Find(request.source());
  if (!state.ok()) return state.status();
  if (const auto& pin = (*state)->status.pin; pin.has_value()) {
    FillPin(*pin, response->mutable_pin());
  }
  if ((*state)->history == nullptr) return absl::OkStatus();
  // One more than the page tells whether there is another.
  std::vector<VersionSummary> versions = (*state)->history->List(before, *page_size + 1);
  const bool more = versions.size() > *page_size;
  if (more) versions.pop_back();
  for (const VersionSummary& version : versions) {
    FillSummary((*state)->source, version, response->add_snapshots());
  }
  if (more) {
    response->set_next_page_token(EncodePageToken({absl::StrCat(versions.back().version)}));
  }
  return absl::OkStatus();
}

absl::Status ControlPlane::DiffSnapshots(const v1::DiffSnapshotsRequest& request,
                                         v1::DiffSnapshotsResponse* response) const {
  const auto page_size = PageSize(request.page_size());
  if (!page_size.ok()) return page_size.status();
  const auto position = DecodePageToken(request.page_token(), 3);
  if (!position.ok()) return position.status();
  // Later pages compare the versions that the first one compared, whatever was published meanwhile.
  int64_t from_version = request.from_version();
  int64_t to_version = request.to_version();
  std::string after;
  if (!position->empty()) {
    if (!absl::SimpleAtoi((*position)[0], &from_version) ||
        !absl::SimpleAtoi((*position)[1], &to_version)) {
      return InvalidPageToken();
    }
    after = (*position)[2];
  }
  const auto view = ParseView(request.path_globs());
  if (!view.ok()) return view.status();
  const auto state = hub_->Find(request.source());
  if (!state.ok()) return state.status();
  const auto to = FindVersion(**state, to_version);
  if (!to.ok()) return to.status();
  std::shared_ptr<const Snapshot> from;
  if (from_version == 0 && position->empty()) {
    const auto older = (*state)->history->List((*to)->version, 1);
    if (!older.empty()) from = (*state)->history->Find(older[0].version);
  } else if (from_version != 0) {
    auto found = FindVersion(**state, from_version);
    if (!found.ok()) return found.status();
    from = *std::move(found);
  }
  static const std::vector<SnapshotFile> kNoFiles;
  if (from != nullptr) FillHeaderWithoutToken(*from, response->mutable_from());
  FillHeaderWithoutToken(**to, response->mutable_to());
  size_t size = 0;
  std::vector<char> matched(view->globs().size());
  for (const FileDifference& difference :
       DiffFiles(from == nullptr ? kNoFiles : from->files, (*to)->files)) {
    if (!after.empty() && difference.path() <= after) continue;
    if (!view->Selects(difference.path(), &matched)) continue;
    v1::FileChange change;
    FillChange(difference, request.include_content(), (*state)->sensitive, &change);
    size += change.ByteSizeLong();
    const auto count = static_cast<size_t>(response->changes_size());
    if (count == *page_size || (count > 0 && size > kPageBytes)) {
      response->set_next_page_token(EncodePageToken(
          {absl::StrCat(from == nullptr ? 0 : from->version), absl::StrCat((*to)->version),
           response->changes(response->changes_size() - 1).path()}));
      break;
    }
    *response->add_changes() = std::move(change);
  }
  return absl::OkStatus();
}

absl::Status ControlPlane::RollbackSnapshot(const v1::RollbackSnapshotRequest& request,
                                            v1::RollbackSnapshotResponse* response) {
  if (request.version() < 1) {
    return InvalidRequest("version is missing: name the retained version to go back to");
  }
  if (request.expected_version() < 0) return InvalidRequest("expected_version is negative");
  if (request.reason().size() > kMaxReasonBytes) {
    return InvalidRequest(
        absl::StrCat("reason is longer than ", kMaxReasonBytes, " bytes: shorten it"));
  }
  RollbackOrder order;
  order.source = request.source();
  order.version = request.version();
  order.expected_version = request.expected_version();
  order.reason = request.reason();
  if (request.has_expire_after()) {
    const absl::Duration expire_after = absl::Seconds(request.expire_after().seconds()) +
                                        absl::Nanoseconds(request.expire_after().nanos());
    if (expire_after < absl::ZeroDuration() || expire_after > kLongestPin) {
      return InvalidRequest(absl::StrCat("expire_after is ", absl::FormatDuration(expire_after),
                                         ": it must be from 0, for no end, to ",
                                         absl::FormatDuration(kLongestPin)));
    }
    if (expire_after > absl::ZeroDuration()) order.expire_after = expire_after;
  }
  const auto result = control_->Rollback(order);
  if (!result.ok()) return result.status();
  FillServedHeader(*result->state, response->mutable_header());
  if (const auto& pin = result->state->status.pin; pin.has_value()) {
    FillPin(*pin, response->mutable_pin());
  }
  response->set_persisted(result->persisted);
  return absl::OkStatus();
}

absl::Status ControlPlane::ListEvents(const v1::ListEventsRequest& request,
                                      v1::ListEventsResponse* response) const {
  const auto events = control_->Events(request.source());
  if (!events.ok()) return events.status();
  for (const SourceEvent& event : *events) {
    v1::SourceEvent* message = response->add_events();
    FillTime(event.time, message->mutable_event_time());
    message->set_kind(KindMessage(event.kind));
    message->set_detail(event.detail);
    message->set_count(event.count);
    message->set_version(event.version);
  }
  return absl::OkStatus();
}

absl::Status ControlPlane::UnpinSource(const v1::UnpinSourceRequest& request,
                                       v1::UnpinSourceResponse* response) {
  const auto result = control_->Unpin(request.source());
  if (!result.ok()) return result.status();
  FillServedHeader(*result->state, response->mutable_header());
  FillStatus(*result->state, kMaxViolations, response->mutable_status());
  response->set_persisted(result->persisted);
  return absl::OkStatus();
}

absl::Status ControlPlane::ReloadSource(const v1::ReloadSourceRequest& request,
                                        absl::Duration patience,
                                        v1::ReloadSourceResponse* response) {
  const auto state = control_->Reload(request.source(), patience);
  if (!state.ok()) return state.status();
  FillServedHeader(**state, response->mutable_header());
  FillStatus(**state, kMaxViolations, response->mutable_status());
  return absl::OkStatus();
}

absl::Status ControlPlane::ListWatchers(const v1::ListWatchersRequest& request,
                                        v1::ListWatchersResponse* response) const {
  const auto page_size = PageSize(request.page_size());
  if (!page_size.ok()) return page_size.status();
  const auto position = DecodePageToken(request.page_token(), 2);
  if (!position.ok()) return position.status();
  std::pair<std::string, std::string> after;
  if (!position->empty()) after = {(*position)[0], (*position)[1]};
  auto watchers = hub_->ListWatchers(request.source(), after, *page_size + 1);
  if (!watchers.ok()) return watchers.status();
  size_t size = 0;
  for (v1::Watcher& watcher : *watchers) {
    size += watcher.ByteSizeLong();
    const auto count = static_cast<size_t>(response->watchers_size());
    if (count == *page_size || (count > 0 && size > kPageBytes)) {
      const v1::Watcher& last = response->watchers(response->watchers_size() - 1);
      response->set_next_page_token(EncodePageToken({last.source(), last.watch_id()}));
      break;
    }
    *response->add_watchers() = std::move(watcher);
  }
  return absl::OkStatus();
}

}  // namespace confstream
