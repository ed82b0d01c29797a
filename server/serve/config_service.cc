#include "server/serve/config_service.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "server/base/error_reason.h"
#include "server/fanout/messages.h"
#include "server/fanout/view_snapshot.h"
#include "server/serve/grpc_status.h"
#include "server/serve/watch_request.h"
#include "server/serve/watch_stream.h"

namespace confstream {
namespace {

// What clients accept by default, less some room for what a proxy may add.
constexpr size_t kMaxMessageBytes = (size_t{4} << 20) - (size_t{16} << 10);
constexpr int kDefaultPageSize = 100;
constexpr int kMaxPageSize = 1000;
constexpr size_t kListedViolations = 10;

}  // namespace

grpc::ServerWriteReactor<grpc::ByteBuffer>* ConfigService::Watch(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* request) {
  return WatchStream::Start(clock_, hub_, stall_timeout_, context, *request);
}

grpc::ServerUnaryReactor* ConfigService::GetSnapshot(grpc::CallbackServerContext* context,
                                                     const v1::GetSnapshotRequest* request,
                                                     v1::GetSnapshotResponse* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(ToGrpcStatus(Get(*request, response)));
  return reactor;
}

grpc::ServerUnaryReactor* ConfigService::ListSources(grpc::CallbackServerContext* context,
                                                     const v1::ListSourcesRequest* request,
                                                     v1::ListSourcesResponse* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(ToGrpcStatus(List(*request, response)));
  return reactor;
}

absl::Status ConfigService::Get(const v1::GetSnapshotRequest& request,
                                v1::GetSnapshotResponse* response) const {
  if (request.source().empty()) {
    return InvalidRequest("source is empty: name one, ListSources tells which there are");
  }
  if (!v1::SnapshotView_IsValid(request.view())) {
    return InvalidRequest("view is not known to this server: use METADATA or FULL");
  }
  const auto view = ParseView(request.path_globs());
  if (!view.ok()) return view.status();
  const auto state = hub_->Find(request.source());
  if (!state.ok()) return state.status();
  if ((*state)->snapshot == nullptr) {
    const SourceStatus& status = (*state)->status;
    return ErrorWithReason(
        absl::StatusCode::kUnavailable, kNoSnapshotYet,
        absl::StrCat("source `", request.source(), "` has nothing valid yet",
                     status.violations.empty()
                         ? std::string()
                         : absl::StrCat(": ", status.violations[0].path,
                                        status.violations[0].path.empty() ? "" : ": ",
                                        status.violations[0].message)),
        absl::Seconds(1));
  }
  if (request.version() != 0 && request.version() != (*state)->snapshot->version) {
    return ErrorWithReason(
        absl::StatusCode::kNotFound, kVersionNotRetained,
        absl::StrCat("version ", request.version(), " of source `", request.source(),
                     "` is not retained; the current one is ", (*state)->snapshot->version));
  }
  const ViewSnapshot snapshot((*state)->snapshot, *view, nullptr);
  FillHeader(snapshot.snapshot(), snapshot.position()->token, response->mutable_header());
  const std::string digest = snapshot.position()->view_digest().Text();
  if (request.if_digest_not() == digest) {
    response->set_unchanged(true);
    return absl::OkStatus();
  }
  const bool with_content = request.view() != v1::SNAPSHOT_VIEW_METADATA;
  // Known before the content is copied.
  const bool too_large =
      with_content && snapshot.size_bytes() > static_cast<int64_t>(kMaxMessageBytes);
  v1::Snapshot* message = response->mutable_snapshot();
  message->set_view_digest(digest);
  for (const SnapshotFile* file : snapshot.files()) {
    if (too_large) break;
    v1::ConfigFile* entry = message->add_files();
    FillFile(*file, entry);
    if (with_content) entry->set_content(file->content->bytes);
  }
  for (const std::string& glob : snapshot.missing_globs()) message->add_missing_globs(glob);
  if (too_large || response->ByteSizeLong() > kMaxMessageBytes) {
    response->Clear();
    return ErrorWithReason(
        absl::StatusCode::kResourceExhausted, kSnapshotTooLarge,
        absl::StrCat("the snapshot has ", snapshot.files().size(), " files with ",
                     snapshot.size_bytes(),
                     " bytes, too much for one message: use Watch with until_in_sync, which sends "
                     "fragments, or fewer path_globs"));
  }
  return absl::OkStatus();
}

absl::Status ConfigService::List(const v1::ListSourcesRequest& request,
                                 v1::ListSourcesResponse* response) const {
  if (request.page_size() < 0 || request.page_size() > kMaxPageSize) {
    return InvalidRequest(absl::StrCat("page_size is ", request.page_size(),
                                       ": it must be from 0 to ", kMaxPageSize));
  }
  // A page token is the name that the page before ended with.
  std::string after;
  if (!request.page_token().empty() &&
      (!absl::WebSafeBase64Unescape(request.page_token(), &after) || after.empty())) {
    return InvalidRequest("page_token is not one that this server gave: begin without one");
  }
  const auto page_size =
      static_cast<size_t>(request.page_size() == 0 ? kDefaultPageSize : request.page_size());
  const std::vector<std::string> names = hub_->SourceNames();
  auto name = after.empty() ? names.begin() : std::upper_bound(names.begin(), names.end(), after);
  size_t size = 0;
  for (; name != names.end(); ++name) {
    if (static_cast<size_t>(response->sources_size()) == page_size) break;
    const auto state = hub_->Find(*name);
    if (!state.ok()) continue;  // removed this moment
    v1::SourceSummary summary;
    FillStatus(**state, kListedViolations, summary.mutable_status());
    if (const auto& snapshot = (*state)->snapshot; snapshot != nullptr) {
      ResumeToken token{snapshot->epoch, snapshot->version, snapshot->digest,
                        View::Parse({})->HashFor(*name)};
      FillHeader(*snapshot, token, summary.mutable_header());
      summary.set_file_count(static_cast<int64_t>(snapshot->files.size()));
      int64_t bytes = 0;
      for (const SnapshotFile& file : snapshot->files) {
        bytes += static_cast<int64_t>(file.content->bytes.size());
      }
      summary.set_size_bytes(bytes);
    } else {
      summary.mutable_header()->set_source(*name);
      summary.mutable_header()->set_epoch((*state)->epoch);
    }
    size += summary.ByteSizeLong();
    if (size > kMaxMessageBytes / 2 && response->sources_size() > 0) break;
    *response->add_sources() = std::move(summary);
  }
  if (name != names.end() && response->sources_size() > 0) {
    const std::string& last = response->sources(response->sources_size() - 1).header().source();
    response->set_next_page_token(absl::WebSafeBase64Escape(last));
  }
  return absl::OkStatus();
}

}  // namespace confstream
