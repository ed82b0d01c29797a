#include "tests/fakes/scripted_config_service.h"

#include <grpcpp/health_check_service_interface.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "server/base/sha256.h"
#include "server/snapshot/snapshot.h"

namespace confstream {
namespace {

std::string WatchId(size_t number) { return absl::StrCat("watch-", number); }

std::string ViewDigestOf(const std::map<std::string, std::string>& files) {
  TreeDigest digest;
  for (const auto& file : files) digest.Add(file.first, Sha256::Of(file.second));
  return digest.Finish().Text();
}

v1::ConfigFile EmptyPart(const ScriptedVersion& version, const std::string& path,
                         const std::string& content) {
  v1::ConfigFile part;
  part.set_path(path);
  part.set_size_bytes(static_cast<int64_t>(content.size()));
  part.set_digest(Sha256::Of(content).Text());
  part.set_content_type("text/plain");
  part.set_last_changed_version(version.version);
  return part;
}

}  // namespace

v1::ResponseHeader HeaderOf(const ScriptedVersion& version) {
  v1::ResponseHeader header;
  header.set_source(version.source);
  header.set_epoch(version.epoch);
  if (version.version == 0) return header;
  header.set_version(version.version);
  header.set_digest(ViewDigestOf(version.files));
  header.mutable_publish_time()->set_seconds(1769853600 + version.version);
  header.set_resume_token(absl::StrCat("token-", version.epoch, "-", version.version));
  header.set_origin(v1::SNAPSHOT_ORIGIN_FILES);
  return header;
}

std::vector<v1::WatchResponse> SnapshotOf(const ScriptedVersion& version) {
  std::vector<v1::WatchResponse> messages;
  const auto begin_message = [&] {
    v1::WatchResponse message;
    message.set_reason(version.reason);
    message.set_more_fragments(true);
    *message.mutable_header() = HeaderOf(version);
    message.mutable_snapshot()->set_view_digest(ViewDigestOf(version.files));
    messages.push_back(message);
  };
  begin_message();
  size_t room = version.fragment_bytes;
  for (const auto& [path, content] : version.files) {
    size_t offset = 0;
    do {
      if (room == 0) {
        begin_message();
        room = version.fragment_bytes;
      }
      const size_t take = std::min(room, content.size() - offset);
      v1::ConfigFile part = EmptyPart(version, path, content);
      part.set_content(content.substr(offset, take));
      part.set_content_offset(static_cast<int64_t>(offset));
      *messages.back().mutable_snapshot()->add_files() = part;
      offset += take;
      room -= take;
    } while (offset < content.size());
  }
  messages.front().set_skipped_versions(version.skipped_versions);
  for (const std::string& glob : version.missing_globs) {
    messages.back().mutable_snapshot()->add_missing_globs(glob);
  }
  messages.back().set_more_fragments(false);
  messages.back().set_in_sync(true);
  return messages;
}

v1::WatchResponse DeltaOf(const ScriptedVersion& before, const ScriptedVersion& after) {
  v1::WatchResponse message;
  message.set_reason(v1::WATCH_REASON_UPDATE);
  message.set_in_sync(true);
  *message.mutable_header() = HeaderOf(after);
  v1::Delta* const delta = message.mutable_delta();
  delta->set_base_version(before.version);
  delta->set_view_digest(ViewDigestOf(after.files));
  for (const auto& [path, content] : after.files) {
    const auto old = before.files.find(path);
    if (old != before.files.end() && old->second == content) continue;
    v1::ConfigFile part = EmptyPart(after, path, content);
    part.set_content(content);
    *delta->add_changed_files() = part;
  }
  for (const auto& file : before.files) {
    if (after.files.count(file.first) == 0) delta->add_removed_paths(file.first);
  }
  return message;
}

v1::WatchResponse HeartbeatAt(const ScriptedVersion& version, bool in_sync) {
  v1::WatchResponse message;
  message.set_in_sync(in_sync);
  *message.mutable_header() = HeaderOf(version);
  message.mutable_heartbeat();
  return message;
}

v1::WatchResponse StatusAt(const ScriptedVersion& version, const v1::SourceStatus& status) {
  v1::WatchResponse message;
  *message.mutable_header() = HeaderOf(version);
  *message.mutable_source_status() = status;
  return message;
}

std::vector<v1::WatchResponse> Then(std::vector<v1::WatchResponse> head,
                                    const std::vector<v1::WatchResponse>& tail) {
  head.insert(head.end(), tail.begin(), tail.end());
  return head;
}

ScriptedConfigService::ScriptedConfigService(const std::string& listen,
                                             std::deque<WatchScript> scripts)
    : scripts_(std::move(scripts)) {
  grpc::EnableDefaultHealthCheckService(true);
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort(listen, grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(this);
  server_ = builder.BuildAndStart();
  address_ = absl::StartsWith(listen, "unix:") ? listen : absl::StrCat("127.0.0.1:", port);
}

ScriptedConfigService::~ScriptedConfigService() { Stop(); }

void ScriptedConfigService::Stop() {
  {
    MutexLock lock(&mu_);
    stopping_ = true;
  }
  changed_.NotifyAll();
  server_->Shutdown(std::chrono::system_clock::now());
}

void ScriptedConfigService::Play(WatchScript script) {
  MutexLock lock(&mu_);
  scripts_.push_back(std::move(script));
}

void ScriptedConfigService::EndStreams() {
  MutexLock lock(&mu_);
  ended_ = requests_.size();
  changed_.NotifyAll();
}

void ScriptedConfigService::List(std::vector<v1::ListSourcesResponse> pages) {
  MutexLock lock(&mu_);
  pages_ = std::move(pages);
}

void ScriptedConfigService::Retain(v1::GetSnapshotResponse response, grpc::Status error) {
  MutexLock lock(&mu_);
  retained_ = std::move(response);
  get_error_ = std::move(error);
}

std::vector<v1::GetSnapshotRequest> ScriptedConfigService::get_requests() {
  MutexLock lock(&mu_);
  return get_requests_;
}

std::vector<v1::ReportOutcomeRequest> ScriptedConfigService::reports() {
  MutexLock lock(&mu_);
  return reports_;
}

void ScriptedConfigService::FailReports(grpc::Status error) {
  MutexLock lock(&mu_);
  report_error_ = std::move(error);
}

void ScriptedConfigService::HoldReports() {
  MutexLock lock(&mu_);
  hold_reports_ = true;
}

size_t ScriptedConfigService::held_reports() {
  MutexLock lock(&mu_);
  return held_reports_;
}

void ScriptedConfigService::ReleaseReports() {
  MutexLock lock(&mu_);
  hold_reports_ = false;
  changed_.NotifyAll();
}

bool ScriptedConfigService::AwaitHeldReport() {
  const absl::Time deadline = absl::Now() + absl::Seconds(20);
  MutexLock lock(&mu_);
  while (held_reports_ == 0) {
    const absl::Duration left = deadline - absl::Now();
    if (left <= absl::ZeroDuration()) return false;
    changed_.WaitFor(&mu_, left);
  }
  return true;
}

bool ScriptedConfigService::AwaitReports(size_t count) {
  const absl::Time deadline = absl::Now() + absl::Seconds(20);
  MutexLock lock(&mu_);
  while (reports_.size() < count) {
    const absl::Duration left = deadline - absl::Now();
    if (left <= absl::ZeroDuration()) return false;
    changed_.WaitFor(&mu_, left);
  }
  return true;
}

void ScriptedConfigService::SetHealth(const std::string& service, bool serving) {
  server_->GetHealthCheckService()->SetServingStatus(service, serving);
}

std::vector<v1::WatchRequest> ScriptedConfigService::requests() {
  MutexLock lock(&mu_);
  return requests_;
}

bool ScriptedConfigService::AwaitRequests(size_t count) {
  const absl::Time deadline = absl::Now() + absl::Seconds(20);
  MutexLock lock(&mu_);
  while (requests_.size() < count) {
    const absl::Duration left = deadline - absl::Now();
    if (left <= absl::ZeroDuration()) return false;
    changed_.WaitFor(&mu_, left);
  }
  return true;
}

grpc::Status ScriptedConfigService::Watch(grpc::ServerContext* context,
                                          const v1::WatchRequest* request,
                                          grpc::ServerWriter<v1::WatchResponse>* writer) {
  WatchScript script;
  size_t number = 0;
  {
    MutexLock lock(&mu_);
    requests_.push_back(*request);
    number = requests_.size();
    changed_.NotifyAll();
    if (scripts_.empty()) return grpc::Status(grpc::StatusCode::NOT_FOUND, "the play is over");
    script = std::move(scripts_.front());
    scripts_.pop_front();
  }
  const grpc::Status status = Perform(std::move(script), number, *context, writer);
  MutexLock lock(&mu_);
  over_.insert(WatchId(number));
  return status;
}

grpc::Status ScriptedConfigService::Perform(WatchScript script, size_t number,
                                            const grpc::ServerContext& context,
                                            grpc::ServerWriter<v1::WatchResponse>* writer) {
  bool first = true;
  for (v1::WatchResponse& message : script.messages) {
    if (first) message.set_watch_id(WatchId(number));
    first = false;
    if (!writer->Write(message)) return grpc::Status::CANCELLED;
  }
  // Nothing tells a synchronous handler that its client has left: it has to look.
  MutexLock lock(&mu_);
  while (script.hold_open && !stopping_ && ended_ < number && !context.IsCancelled()) {
    changed_.WaitFor(&mu_, absl::Milliseconds(5));
  }
  if (ended_ >= number) return grpc::Status(grpc::StatusCode::UNAVAILABLE, "ended by the test");
  return script.ending;
}

grpc::Status ScriptedConfigService::ListSources(grpc::ServerContext*,
                                                const v1::ListSourcesRequest* request,
                                                v1::ListSourcesResponse* response) {
  MutexLock lock(&mu_);
  size_t page = 0;
  if (!request->page_token().empty() && !absl::SimpleAtoi(request->page_token(), &page)) {
    return grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "not a page token of this server");
  }
  if (page < pages_.size()) *response = pages_[page];
  if (page + 1 < pages_.size()) response->set_next_page_token(absl::StrCat(page + 1));
  return grpc::Status::OK;
}

grpc::Status ScriptedConfigService::GetSnapshot(grpc::ServerContext*,
                                                const v1::GetSnapshotRequest* request,
                                                v1::GetSnapshotResponse* response) {
  MutexLock lock(&mu_);
  get_requests_.push_back(*request);
  *response = retained_;
  return get_error_;
}

grpc::Status ScriptedConfigService::ReportOutcome(grpc::ServerContext* context,
                                                  const v1::ReportOutcomeRequest* request,
                                                  v1::ReportOutcomeResponse*) {
  MutexLock lock(&mu_);
  ++held_reports_;
  changed_.NotifyAll();
  while (hold_reports_ && !stopping_ && !context->IsCancelled()) {
    changed_.WaitFor(&mu_, absl::Milliseconds(5));
  }
  --held_reports_;
  if (!report_error_.ok()) return report_error_;
  if (over_.count(request->watch_id()) > 0) {
    return grpc::Status(grpc::StatusCode::NOT_FOUND, "no such stream is open");
  }
  reports_.push_back(*request);
  changed_.NotifyAll();
  return grpc::Status::OK;
}

}  // namespace confstream
