// The history of all sources in one file.

#ifndef CONFSTREAM_SERVER_HISTORY_HISTORY_DATABASE_H_
#define CONFSTREAM_SERVER_HISTORY_HISTORY_DATABASE_H_

#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/history/recorded_history.h"
#include "server/history/sqlite_database.h"

namespace confstream {

// Tables: `sources` (epoch, reserve, pin), `versions`, `files` (a content of a path, and the
// versions that have it), `contents` (once for all sources, by digest; gone with the last file that
// has them). Errors as SqliteDatabase. Thread-compatible.
class HistoryDatabase {
 public:
  // FAILED_PRECONDITION: the file is of another program, or of a newer Confstream. `read_only`:
  // only Load may be called.
  static absl::StatusOr<std::unique_ptr<HistoryDatabase>> Open(const std::string& path,
                                                               bool read_only);

  // What is recorded of the source. DATA_LOSS, too, if it contradicts itself.
  absl::StatusOr<RecordedHistory> Load(const std::string& source);

  // Makes the record of the source what `unrecorded` says: all of it or nothing, and on disk when
  // the call returns. What is replaced or dropped is overwritten. ABORTED: some of it is there
  // already.
  absl::Status Record(const std::string& source, const UnrecordedHistory& unrecorded);

 private:
  explicit HistoryDatabase(std::unique_ptr<SqliteDatabase> database)
      : database_(std::move(database)) {}

  absl::Status Prepare();
  absl::Status WriteSource(const std::string& source, const UnrecordedHistory& unrecorded);
  absl::Status WriteVersions(const std::string& source, const UnrecordedHistory& unrecorded);
  absl::Status WriteFile(const std::string& source, const std::string& path,
                         const FileInterval& interval);
  absl::Status EndFile(const std::string& source, const std::string& path, int64_t version);
  absl::Status Drop(const std::string& source, int64_t up_to);
  absl::Status DeleteContents(const std::string& source);
  absl::Status LoadSource(const std::string& source, RecordedHistory* recorded);
  absl::Status LoadVersions(const std::string& source, RecordedHistory* recorded);
  absl::Status LoadFiles(const std::string& source, RecordedHistory* recorded);

  const std::unique_ptr<SqliteDatabase> database_;
};

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_HISTORY_HISTORY_DATABASE_H_
