#include "server/history/sqlite_database.h"

#include <sqlite3.h>
#include <unistd.h>

#include <utility>

#include "absl/strings/str_cat.h"

namespace confstream {
namespace {

absl::Status ErrorOf(sqlite3* database, int result) {
  const std::string text = database == nullptr ? sqlite3_errstr(result) : sqlite3_errmsg(database);
  const int kind = result & 0xff;  // without the extended part
  if (kind == SQLITE_CORRUPT || kind == SQLITE_NOTADB) return absl::DataLossError(text);
  if (kind == SQLITE_CONSTRAINT) return absl::AbortedError(text);
  return absl::UnavailableError(text);
}

}  // namespace

void SqliteStatement::Finalize::operator()(sqlite3_stmt* statement) const {
  sqlite3_finalize(statement);
}

SqliteStatement& SqliteStatement::Bind(int index, int64_t value) {
  sqlite3_bind_int64(statement_.get(), index, value);
  return *this;
}

SqliteStatement& SqliteStatement::BindText(int index, absl::string_view text) {
  sqlite3_bind_text64(statement_.get(), index, text.data(), text.size(), SQLITE_TRANSIENT,
                      SQLITE_UTF8);
  return *this;
}

SqliteStatement& SqliteStatement::BindBlob(int index, absl::string_view bytes) {
  // Without an address it would be NULL.
  sqlite3_bind_blob64(statement_.get(), index, bytes.empty() ? "" : bytes.data(), bytes.size(),
                      SQLITE_TRANSIENT);
  return *this;
}

SqliteStatement& SqliteStatement::BindNull(int index) {
  sqlite3_bind_null(statement_.get(), index);
  return *this;
}

absl::Status SqliteStatement::Run() {
  return ForEach([] {});
}

absl::Status SqliteStatement::ForEach(const std::function<void()>& row) {
  int result = SQLITE_ROW;
  while ((result = sqlite3_step(statement_.get())) == SQLITE_ROW) row();
  return Finish(result);
}

absl::Status SqliteStatement::Finish(int result) {
  absl::Status status = result == SQLITE_DONE ? absl::OkStatus() : ErrorOf(database_, result);
  sqlite3_reset(statement_.get());
  sqlite3_clear_bindings(statement_.get());
  return status;
}

int64_t SqliteStatement::Integer(int column) const {
  return sqlite3_column_int64(statement_.get(), column);
}

std::string SqliteStatement::Bytes(int column) const {
  const void* bytes = sqlite3_column_blob(statement_.get(), column);
  const int size = sqlite3_column_bytes(statement_.get(), column);
  if (bytes == nullptr) return "";
  return std::string(static_cast<const char*>(bytes), static_cast<size_t>(size));
}

bool SqliteStatement::IsNull(int column) const {
  return sqlite3_column_type(statement_.get(), column) == SQLITE_NULL;
}

absl::StatusOr<std::unique_ptr<SqliteDatabase>> SqliteDatabase::Open(const std::string& path,
                                                                     bool read_only) {
  sqlite3* database = nullptr;
  // Locks and shared memory need a writable directory. A file without a log is read without them if
  // it is said to be immutable, but then a log is not looked at; with one, without locks
  // (unix-none).
  const bool has_log = read_only && access((path + "-wal").c_str(), F_OK) == 0;
  const char* const options = !read_only ? "" : has_log ? "?vfs=unix-none" : "?immutable=1";
  std::string escaped;
  for (const char c : path) {
    if (c == '%' || c == '?' || c == '#') {
      absl::StrAppend(&escaped, "%", absl::Hex(c, absl::kZeroPad2));
    } else {
      escaped.push_back(c);
    }
  }
  const std::string uri = absl::StrCat("file:", escaped, options);
  const int access = read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
  const int result = sqlite3_open_v2(uri.c_str(), &database,
                                     access | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX, nullptr);
  if (result != SQLITE_OK) {
    absl::Status status = ErrorOf(database, result);
    sqlite3_close(database);
    return status;
  }
  sqlite3_extended_result_codes(database, 1);
  std::unique_ptr<SqliteDatabase> opened(new SqliteDatabase(database));
  // Before anything is read: a log that is first looked at in this mode has its index in the heap.
  // Otherwise it would be in shared memory, a file for which a full disk has no room. Temporary
  // tables might not find room either.
  for (const char* pragma : {"PRAGMA locking_mode = EXCLUSIVE", "PRAGMA temp_store = MEMORY"}) {
    if (absl::Status status = opened->Execute(pragma); !status.ok()) return status;
  }
  return opened;
}

SqliteDatabase::~SqliteDatabase() { sqlite3_close(database_); }

absl::Status SqliteDatabase::Execute(const std::string& sql) {
  const int result = sqlite3_exec(database_, sql.c_str(), nullptr, nullptr, nullptr);
  return result == SQLITE_OK ? absl::OkStatus() : ErrorOf(database_, result);
}

absl::StatusOr<int64_t> SqliteDatabase::QueryInteger(const std::string& sql) {
  auto statement = Prepare(sql);
  if (!statement.ok()) return statement.status();
  int64_t value = 0;
  const absl::Status status = statement->ForEach([&] { value = statement->Integer(0); });
  if (!status.ok()) return status;
  return value;
}

absl::StatusOr<SqliteStatement> SqliteDatabase::Prepare(absl::string_view sql) {
  sqlite3_stmt* statement = nullptr;
  const int result =
      sqlite3_prepare_v2(database_, sql.data(), static_cast<int>(sql.size()), &statement, nullptr);
  if (result != SQLITE_OK) return ErrorOf(database_, result);
  return SqliteStatement(database_, statement);
}

absl::Status SqliteDatabase::InTransaction(const std::function<absl::Status()>& work) {
  absl::Status status = Execute("BEGIN IMMEDIATE");
  if (!status.ok()) return status;
  status = work();
  if (status.ok()) status = Execute("COMMIT");
  // Some errors have rolled it back already; then this one fails, and does not matter.
  if (!status.ok()) Execute("ROLLBACK").IgnoreError();
  return status;
}

}  // namespace confstream
