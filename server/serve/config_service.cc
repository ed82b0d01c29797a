#include "server/serve/config_service.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/base/error_reason.h"
#include "server/fanout/messages.h"
#include "server/fanout/view_snapshot.h"
#include "server/serve/grpc_status.h"
#include "server/serve/paging.h"
#include "server/serve/unary_call.h"
#include "server/serve/watch_request.h"

namespace confstream {
namespace {

constexpr int kThreads = 2;
constexpr size_t kListedViolations = 10;

void FillConfigStatus(const ConfigStatus& status, v1::ConfigStatus* message) {
  FillTime(status.load_time, message->mutable_load_time());
  if (!status.refusal_time.has_value()) return;
  FillTime(*status.refusal_time, message->mutable_refusal_time());
  message->set_refusal_reason(status.refusal_reason);
}

absl::Status NoSnapshotYet(const SourceState& state) {
  const std::vector<Violation>& violations = state.status.violations;
  const std::string why =
      violations.empty() ? std::string() : absl::StrCat(": ", TextOf(violations[0]));
  return ErrorWithReason(absl::StatusCode::kUnavailable, kNoSnapshotYet,
                         absl::StrCat("source `", state.source, "` has nothing valid yet", why),
                         absl::Seconds(1));
}

absl::Status NotRetained(const SourceState& state, int64_t version) {
  const int64_t newest = state.snapshot->version;
  std::string retained;
  if (state.sensitive) {
    retained = absl::StrCat("the source is sensitive, so only the current one, ", newest,
                            ", is given out: ask without a version");
  } else {
    const auto oldest = state.history == nullptr ? nullptr : state.history->FindAfter(0);
    retained = absl::StrCat("the oldest one retained is ",
                            oldest == nullptr ? newest : std::min(oldest->version, newest),
                            ", the newest is ", newest);
  }
  return ErrorWithReason(absl::StatusCode::kNotFound, kVersionNotRetained,
                         absl::StrCat("version ", version, " of source `", state.source,
                                      "` cannot be had: ", retained));
}

// The snapshot of `version`, the current one for 0.
absl::StatusOr<std::shared_ptr<const Snapshot>> FindVersion(const SourceState& state,
                                                            int64_t version) {
  if (state.snapshot == nullptr) return NoSnapshotYet(state);
  if (version == 0 || version == state.snapshot->version) return state.snapshot;
  std::shared_ptr<const Snapshot> found;
  if (!state.sensitive && state.history != nullptr) found = state.history->Find(version);
  if (found == nullptr) return NotRetained(state, version);
  return found;
}

}  // namespace

ConfigService::ConfigService(const DataPlane& data)
    : hub_(data.hub),
      reloads_(data.reloads),
      watch_context_{this, data.clock, data.hub, data.stall_timeout},
      threads_(kThreads) {}

void ConfigService::Serve(const std::shared_ptr<CallQueue>& queue) {
  WatchStream::Accept(&watch_context_, queue);
  ServeUnary(
      queue, this, &ConfigService::RequestGetSnapshot,
      [this](const grpc::ServerContext& /*context*/, const v1::GetSnapshotRequest& request,
             v1::GetSnapshotResponse* response) { return Get(request, response); },
      &threads_);
  ServeUnary(
      queue, this, &ConfigService::RequestListSources,
      [this](const grpc::ServerContext& /*context*/, const v1::ListSourcesRequest& request,
             v1::ListSourcesResponse* response) { return List(request, response); },
      &threads_);
  ServeUnary(queue, this, &ConfigService::RequestReportOutcome,
             [this](const grpc::ServerContext& /*context*/, const v1::ReportOutcomeRequest& request,
                    v1::ReportOutcomeResponse* /*response*/) {
               return hub_->ReportOutcome(request.watch_id(), request.version(), request.outcome(),
                                          request.reason());
             });
}

void ConfigService::Stop() { threads_.Stop(); }

absl::Status ConfigService::Get(const v1::GetSnapshotRequest& request,
                                v1::GetSnapshotResponse* response) const {
  if (request.source().empty()) {
    return InvalidRequest(
        "source is empty: name one, `confstream ls` (ListSources) tells which there are");
  }
  if (!v1::SnapshotView_IsValid(request.view())) {
    return InvalidRequest("view is not known to this server: use METADATA or FULL");
  }
  if (request.version() < 0) {
    return InvalidRequest("version is negative: name one from 1 on, or 0 for the current one");
  }
  const auto view = ParseView(request.path_globs());
  if (!view.ok()) return view.status();
  const auto state = hub_->Find(request.source());
  if (!state.ok()) return state.status();
  const auto version = FindVersion(**state, request.version());
  if (!version.ok()) return version.status();
  const ViewSnapshot snapshot(*version, *view, nullptr);
  FillHeader(**version, snapshot.position()->token, response->mutable_header());
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
  const auto page_size = PageSize(request.page_size());
  if (!page_size.ok()) return page_size.status();
  // A page token is the name that the page before ended with.
  const auto position = DecodePageToken(request.page_token(), 1);
  if (!position.ok()) return position.status();
  FillConfigStatus(reloads_->status(), response->mutable_config_status());
  const std::string after = position->empty() ? std::string() : position->front();
  const std::vector<std::string> names = hub_->SourceNames();
  auto name = after.empty() ? names.begin() : std::upper_bound(names.begin(), names.end(), after);
  size_t size = 0;
  for (; name != names.end(); ++name) {
    if (static_cast<size_t>(response->sources_size()) == *page_size) break;
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
    if (size > kPageBytes && response->sources_size() > 0) break;
    *response->add_sources() = std::move(summary);
  }
  if (name != names.end() && response->sources_size() > 0) {
    const std::string& last = response->sources(response->sources_size() - 1).header().source();
    response->set_next_page_token(EncodePageToken({last}));
  }
  return absl::OkStatus();
}

}  // namespace confstream
