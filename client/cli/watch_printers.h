// How `watch` shows what happens, one printer a format. All of them Thread-compatible.

#ifndef CONFSTREAM_CLIENT_CLI_WATCH_PRINTERS_H_
#define CONFSTREAM_CLIENT_CLI_WATCH_PRINTERS_H_

#include <memory>
#include <optional>
#include <string>

#include "absl/time/time.h"
#include "client/cli/console.h"
#include "client/cli/invocation.h"
#include "client/cli/structured_output.h"
#include "client/cpp/source_watch.h"

namespace confstream {

// For people: a header line and a unified diff for every change; states when they change.
class DiffPrinter final : public WatchObserver {
 public:
  explicit DiffPrinter(const Console& console) : console_(console) {}

  void OnSnapshot(const std::shared_ptr<const ReceivedSnapshot>& snapshot) override;
  void OnStatus(const v1::ResponseHeader& header, const v1::SourceStatus& status) override;

 private:
  void PrintFiles(const ReceivedSnapshot& snapshot);
  void PrintChanges(const ReceivedSnapshot& before, const ReceivedSnapshot& after);

  const Console& console_;
  std::shared_ptr<const ReceivedSnapshot> last_;
  std::optional<v1::Pin> pin_;  // as the last status had it
};

// For scripts: a JSON object a line, or a YAML document, for every event.
class EventPrinter final : public WatchObserver {
 public:
  EventPrinter(OutputFormat format, const Console& console) : format_(format), console_(console) {}

  void OnConnected(const std::string& watch_id) override;
  void OnSnapshot(const std::shared_ptr<const ReceivedSnapshot>& snapshot) override;
  void OnStatus(const v1::ResponseHeader& header, const v1::SourceStatus& status) override;
  void OnHeartbeat(const v1::ResponseHeader& header, bool in_sync) override;
  void OnStale(absl::Duration silence) override;
  void OnDisconnected(const absl::Status& why, absl::Duration retry_in) override;

 private:
  const OutputFormat format_;
  const Console& console_;
};

// The bytes of one file, each time they change.
class RawPrinter final : public WatchObserver {
 public:
  explicit RawPrinter(const Console& console) : console_(console) {}

  void OnSnapshot(const std::shared_ptr<const ReceivedSnapshot>& snapshot) override;

 private:
  const Console& console_;
  std::shared_ptr<const std::string> last_;
};

// The printer for `format`.
std::unique_ptr<WatchObserver> MakeWatchPrinter(OutputFormat format, const Console& console);

}  // namespace confstream

#endif  // CONFSTREAM_CLIENT_CLI_WATCH_PRINTERS_H_
