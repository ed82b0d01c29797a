// A ConfigService that plays what a test writes down, lies and cut streams included.

#ifndef CONFSTREAM_TESTS_FAKES_SCRIPTED_CONFIG_SERVICE_H_
#define CONFSTREAM_TESTS_FAKES_SCRIPTED_CONFIG_SERVICE_H_

#include <grpcpp/grpcpp.h>

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "confstream/v1/config_service.grpc.pb.h"
#include "server/base/mutex.h"

namespace confstream {

// What one Watch call is answered with.
struct WatchScript {
  std::vector<v1::WatchResponse> messages;
  grpc::Status ending;     // how the stream ends after the messages
  bool hold_open = false;  // it does not end until the client leaves or the service stops
};

// A version as an honest server would send it.
struct ScriptedVersion {
  std::string source = "app";
  std::string epoch = "e1";
  int64_t version = 1;
  std::map<std::string, std::string> files;
  v1::WatchReason reason = v1::WATCH_REASON_INITIAL;
  int64_t skipped_versions = 0;
  std::vector<std::string> missing_globs;
  size_t fragment_bytes = size_t{1} << 20;  // content per message
};

v1::ResponseHeader HeaderOf(const ScriptedVersion& version);
// The messages of a snapshot, the last one in sync.
std::vector<v1::WatchResponse> SnapshotOf(const ScriptedVersion& version);
// A delta from `before` to `after`, in one message.
v1::WatchResponse DeltaOf(const ScriptedVersion& before, const ScriptedVersion& after);
v1::WatchResponse HeartbeatAt(const ScriptedVersion& version, bool in_sync);
v1::WatchResponse StatusAt(const ScriptedVersion& version, const v1::SourceStatus& status);
// `head` and then `tail`.
std::vector<v1::WatchResponse> Then(std::vector<v1::WatchResponse> head,
                                    const std::vector<v1::WatchResponse>& tail);

// Serves on a free port of 127.0.0.1, with gRPC's health service. Thread-safe.
class ScriptedConfigService final : private v1::ConfigService::Service {
 public:
  ScriptedConfigService() : ScriptedConfigService("127.0.0.1:0") {}
  // At `listen`, with `scripts` from the first moment on.
  explicit ScriptedConfigService(const std::string& listen, std::deque<WatchScript> scripts = {});
  ~ScriptedConfigService() override;

  const std::string& address() const { return address_; }

  // The next Watch call without a script plays this one; calls without any end with NOT_FOUND.
  void Play(WatchScript script);
  // ListSources answers with these, one page each.
  void List(std::vector<v1::ListSourcesResponse> pages);
  // GetSnapshot answers with this, or fails with `error`.
  void Retain(v1::GetSnapshotResponse response, grpc::Status error = grpc::Status::OK);
  void SetHealth(const std::string& service, bool serving);

  // Ends the streams that are open now, with UNAVAILABLE.
  void EndStreams();

  // All Watch requests so far.
  std::vector<v1::WatchRequest> requests();
  // True once `count` Watch calls have begun, false if they have not within 20 s.
  bool AwaitRequests(size_t count);

  // All GetSnapshot requests so far.
  std::vector<v1::GetSnapshotRequest> get_requests();
  // All ReportOutcome requests so far; those that are made while FailReports was called last with
  // an error fail with it, and are not among them. Nor are those for a stream that has ended: they
  // fail with NOT_FOUND.
  std::vector<v1::ReportOutcomeRequest> reports();
  void FailReports(grpc::Status error);
  // From now on ReportOutcome answers nobody who does not give up, until ReleaseReports, which also
  // answers those who wait. AwaitHeldReport: true once it has been called, false if it has not
  // within 20 s. held_reports: how many calls wait.
  void HoldReports();
  bool AwaitHeldReport();
  size_t held_reports();
  void ReleaseReports();
  // True once there are `count` reports, false if there are not within 20 s.
  bool AwaitReports(size_t count);

  // Ends all streams and stops listening.
  void Stop();

 private:
  grpc::Status Watch(grpc::ServerContext* context, const v1::WatchRequest* request,
                     grpc::ServerWriter<v1::WatchResponse>* writer) override;
  grpc::Status Perform(WatchScript script, size_t number, const grpc::ServerContext& context,
                       grpc::ServerWriter<v1::WatchResponse>* writer);
  grpc::Status ListSources(grpc::ServerContext* context, const v1::ListSourcesRequest* request,
                           v1::ListSourcesResponse* response) override;
  grpc::Status GetSnapshot(grpc::ServerContext* context, const v1::GetSnapshotRequest* request,
                           v1::GetSnapshotResponse* response) override;
  grpc::Status ReportOutcome(grpc::ServerContext* context, const v1::ReportOutcomeRequest* request,
                             v1::ReportOutcomeResponse* response) override;

  std::string address_;
  std::unique_ptr<grpc::Server> server_;
  Mutex mu_;
  CondVar changed_;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  size_t ended_ ABSL_GUARDED_BY(mu_) = 0;  // that many streams, the first, are to end
  std::deque<WatchScript> scripts_ ABSL_GUARDED_BY(mu_);
  std::vector<v1::WatchRequest> requests_ ABSL_GUARDED_BY(mu_);
  std::vector<v1::ListSourcesResponse> pages_ ABSL_GUARDED_BY(mu_);
  v1::GetSnapshotResponse retained_ ABSL_GUARDED_BY(mu_);
  grpc::Status get_error_ ABSL_GUARDED_BY(mu_);
  std::vector<v1::GetSnapshotRequest> get_requests_ ABSL_GUARDED_BY(mu_);
  grpc::Status report_error_ ABSL_GUARDED_BY(mu_);
  bool hold_reports_ ABSL_GUARDED_BY(mu_) = false;
  size_t held_reports_ ABSL_GUARDED_BY(mu_) = 0;
  std::set<std::string> over_ ABSL_GUARDED_BY(mu_);  // the watch_ids of streams that have ended
  std::vector<v1::ReportOutcomeRequest> reports_ ABSL_GUARDED_BY(mu_);
};

}  // namespace confstream

#endif  // CONFSTREAM_TESTS_FAKES_SCRIPTED_CONFIG_SERVICE_H_
