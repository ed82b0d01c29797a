// Requests for pages of the admin service, with tokens of any make. The input, a request a line:
//   list SOURCE PAGE_SIZE TOKEN
//   diff SOURCE PAGE_SIZE TOKEN FROM TO GLOB...
//   watchers SOURCE PAGE_SIZE TOKEN
// TOKEN is as it is, or `=A,B`: the token of these texts.

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "server/serve/control_plane.h"
#include "server/serve/paging.h"
#include "tests/fakes/counting_subscriber.h"
#include "tests/fakes/fake_clock.h"
#include "tests/fakes/fake_history.h"
#include "tests/fakes/snapshots.h"
#include "tests/fuzz/fuzzing.h"

namespace confstream {
namespace {

constexpr int64_t kVersions = 5;
constexpr int kWatchers = 3;

// Nothing here changes a source.
class NoControl final : public SourceControl {
 public:
  absl::StatusOr<ControlResult> Rollback(const RollbackOrder& /*order*/) override {
    return absl::UnimplementedError("no control");
  }
  absl::StatusOr<ControlResult> Unpin(const std::string& /*source*/) override {
    return absl::UnimplementedError("no control");
  }
  absl::StatusOr<std::shared_ptr<const SourceState>> Reload(const std::string& /*source*/,
                                                            absl::Duration /*timeout*/) override {
    return absl::UnimplementedError("no control");
  }
  absl::StatusOr<SourceConfig> Config(const std::string& /*source*/) override {
    return absl::UnimplementedError("no control");
  }
  absl::StatusOr<DryRunResult> DryRun(const std::string& /*source*/,
                                      Generation /*files*/) override {
    return absl::UnimplementedError("no control");
  }
  absl::StatusOr<std::vector<SourceEvent>> Events(const std::string& /*source*/) override {
    return absl::UnimplementedError("no control");
  }
};

// A service with something to list, the same for every input.
class Server {
 public:
  Server() {
    hub_.Update(WaitingState());
    for (int64_t version = 1; version <= kVersions; ++version) {
      Files files;
      for (int64_t i = 0; i < 4 + version; ++i) {
        files[absl::StrCat("f", i, ".yaml")] = absl::StrCat("v", version * (i % 3));
      }
      const auto snapshot = MakeSnapshot(version, files);
      history_->Add(snapshot);
      hub_.Update(ServingState(snapshot, history_));
    }
    for (int i = 0; i < kWatchers; ++i) {
      WatchSpec spec;
      spec.source = "app";
      spec.view = *View::Parse({});
      subscribers_.push_back(std::make_shared<CountingSubscriber>());
      sessions_.push_back(*hub_.Open(std::move(spec), subscribers_.back()));
    }
  }

  const ControlPlane& plane() const { return plane_; }

 private:
  FakeClock clock_;
  WatchHub hub_{&clock_, {100, 100, int64_t{1} << 20}};
  const std::shared_ptr<FakeHistory> history_ = std::make_shared<FakeHistory>();
  std::vector<std::shared_ptr<CountingSubscriber>> subscribers_;
  std::vector<std::unique_ptr<WatchSession>> sessions_;
  NoControl control_;
  const ControlPlane plane_{&hub_, &control_};
};

// Asks for page after page, until there is none or something is refused. Returns what was listed.
// `entries` gives those of a page, as texts.
template <typename Request, typename Response, typename Method, typename Entries>
std::vector<std::string> Walk(Server* server, Method method, Request request, Entries entries) {
  std::vector<std::string> listed;
  const size_t page_size =
      request.page_size() == 0 ? 100 : static_cast<size_t>(request.page_size());
  for (bool first = true;; first = false) {
    Response response;
    const absl::Status status = (server->plane().*method)(request, &response);
    if (!status.ok()) {
      Require(first, "the server's own tokens are right");
      Require(absl::IsInvalidArgument(status) || absl::IsNotFound(status),
              "what is wrong with a request is the client's to mend");
      RequirePrintable(std::string(status.message()));
      return listed;
    }
    const std::vector<std::string> page = entries(response);
    Require(page.size() <= page_size, "a page has at most its size");
    listed.insert(listed.end(), page.begin(), page.end());
    if (response.next_page_token().empty()) return listed;
    Require(!page.empty(), "there is progress");
    request.set_page_token(response.next_page_token());
  }
}

template <typename Request>
Request RequestOf(const std::vector<std::string>& words) {
  Request request;
  request.set_source(words[1]);
  int32_t page_size = 0;
  if (absl::SimpleAtoi(words[2], &page_size)) request.set_page_size(page_size);
  absl::string_view token = words[3];
  request.set_page_token(absl::ConsumePrefix(&token, "=")
                             ? EncodePageToken(absl::StrSplit(token, ','))
                             : std::string(token));
  return request;
}

void RequireOnce(const std::vector<std::string>& listed) {
  Require(std::set<std::string>(listed.begin(), listed.end()).size() == listed.size(),
          "nothing is listed twice");
}

void List(Server* server, const std::vector<std::string>& words) {
  const auto request = RequestOf<v1::ListSnapshotsRequest>(words);
  const std::vector<std::string> listed = Walk<v1::ListSnapshotsRequest, v1::ListSnapshotsResponse>(
      server, &ControlPlane::ListSnapshots, request, [](const v1::ListSnapshotsResponse& response) {
        std::vector<std::string> versions;
        for (const auto& snapshot : response.snapshots()) {
          versions.push_back(absl::StrCat(snapshot.header().version()));
        }
        return versions;
      });
  RequireOnce(listed);
  Require(!request.page_token().empty() || listed.empty() || listed.size() == kVersions,
          "all versions are listed");
}

void Diff(Server* server, const std::vector<std::string>& words) {
  auto request = RequestOf<v1::DiffSnapshotsRequest>(words);
  int64_t version = 0;
  if (absl::SimpleAtoi(words[4], &version)) request.set_from_version(version);
  if (absl::SimpleAtoi(words[5], &version)) request.set_to_version(version);
  for (size_t i = 6; i < words.size(); ++i) request.add_path_globs(words[i]);
  request.set_include_content(true);
  RequireOnce(Walk<v1::DiffSnapshotsRequest, v1::DiffSnapshotsResponse>(
      server, &ControlPlane::DiffSnapshots, request, [](const v1::DiffSnapshotsResponse& response) {
        std::vector<std::string> paths;
        for (const auto& change : response.changes()) paths.push_back(change.path());
        return paths;
      }));
}

void ListWatchers(Server* server, const std::vector<std::string>& words) {
  const auto request = RequestOf<v1::ListWatchersRequest>(words);
  const std::vector<std::string> listed = Walk<v1::ListWatchersRequest, v1::ListWatchersResponse>(
      server, &ControlPlane::ListWatchers, request, [](const v1::ListWatchersResponse& response) {
        std::vector<std::string> ids;
        for (const auto& watcher : response.watchers()) ids.push_back(watcher.watch_id());
        return ids;
      });
  RequireOnce(listed);
  Require(!request.page_token().empty() || listed.empty() || listed.size() == kWatchers,
          "all watchers are listed");
}

void Run(absl::string_view input) {
  static auto* const server = new Server;
  int requests = 0;
  for (const absl::string_view line : absl::StrSplit(input, '\n')) {
    if (!IsValidUtf8(line) || ++requests > 10) continue;
    std::vector<std::string> words = absl::StrSplit(line, ' ');
    if (words.size() < 6) words.resize(6);
    if (words[0] == "list") List(server, words);
    if (words[0] == "diff") Diff(server, words);
    if (words[0] == "watchers") ListWatchers(server, words);
  }
}

}  // namespace
}  // namespace confstream

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  confstream::Run(confstream::AsText(data, size));
  return 0;
}
