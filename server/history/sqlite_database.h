// SQLite, with errors as absl::Status. The only place that knows its header is the .cc.

#ifndef CONFSTREAM_SERVER_HISTORY_SQLITE_DATABASE_H_
#define CONFSTREAM_SERVER_HISTORY_SQLITE_DATABASE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

struct sqlite3;
struct sqlite3_stmt;

namespace confstream {

// A prepared statement. Parameters are bound by number from 1, columns are read by number from 0.
// Must not outlive its database. Thread-compatible.
class SqliteStatement {
 public:
  SqliteStatement& Bind(int index, int64_t value);
  SqliteStatement& BindText(int index, absl::string_view text);
  SqliteStatement& BindBlob(int index, absl::string_view bytes);
  SqliteStatement& BindNull(int index);

  // Runs a statement without result.
  absl::Status Run();
  // Runs a query; `row` reads the columns of each row.
  absl::Status ForEach(const std::function<void()>& row);

  int64_t Integer(int column) const;
  std::string Bytes(int column) const;
  bool IsNull(int column) const;

 private:
  friend class SqliteDatabase;
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const;
  };
  SqliteStatement(sqlite3* database, sqlite3_stmt* statement)
      : database_(database), statement_(statement) {}
  absl::Status Finish(int result);

  sqlite3* database_;
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
};

// An open database file. DATA_LOSS: the file is damaged, or no database; UNAVAILABLE: anything that
// may work later: no space, no permission, I/O errors; ABORTED: a row is there already.
// Thread-compatible.
class SqliteDatabase {
 public:
  // Opens, or creates. `read_only`: with what is in the log beside it, and even if nothing can be
  // written there. REQUIRES, then: nobody else has it open.
  static absl::StatusOr<std::unique_ptr<SqliteDatabase>> Open(const std::string& path,
                                                              bool read_only);
  ~SqliteDatabase();
  SqliteDatabase(const SqliteDatabase&) = delete;
  SqliteDatabase& operator=(const SqliteDatabase&) = delete;

  absl::Status Execute(const std::string& sql);
  // The first column of the first row.
  absl::StatusOr<int64_t> QueryInteger(const std::string& sql);
  absl::StatusOr<SqliteStatement> Prepare(absl::string_view sql);

  // Runs `work` in a transaction, which is rolled back if it fails.
  absl::Status InTransaction(const std::function<absl::Status()>& work);

 private:
  explicit SqliteDatabase(sqlite3* database) : database_(database) {}

  sqlite3* const database_;
};

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_HISTORY_SQLITE_DATABASE_H_
