#include "server/history/history_database.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <optional>

#include "absl/strings/str_cat.h"

namespace confstream {
namespace {

constexpr int64_t kApplicationId = 0x436f6e66;  // "Conf"
constexpr int64_t kSchemaVersion = 1;

constexpr char kSchema[] = R"(
CREATE TABLE sources (
  name TEXT PRIMARY KEY, epoch TEXT NOT NULL, reserved_until INTEGER NOT NULL,
  dropped_up_to INTEGER NOT NULL,
  pin_version INTEGER, pin_time INTEGER, pin_expire_time INTEGER, pin_reason TEXT,
  pin_replaced BLOB, pin_last_read BLOB
) WITHOUT ROWID;
CREATE TABLE versions (
  source TEXT NOT NULL, version INTEGER NOT NULL, epoch TEXT NOT NULL, digest BLOB NOT NULL,
  publish_time INTEGER NOT NULL, origin INTEGER NOT NULL, rolled_back_to INTEGER NOT NULL,
  file_count INTEGER NOT NULL, size_bytes INTEGER NOT NULL, changed_file_count INTEGER NOT NULL,
  removed_file_count INTEGER NOT NULL,
  PRIMARY KEY (source, version)
) WITHOUT ROWID;
CREATE TABLE contents (
  id INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE, bytes BLOB NOT NULL,
  files INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE files (
  source TEXT NOT NULL, path BLOB NOT NULL, from_version INTEGER NOT NULL, to_version INTEGER,
  content INTEGER NOT NULL REFERENCES contents (id),
  PRIMARY KEY (source, path, from_version)
) WITHOUT ROWID;
CREATE INDEX files_by_end ON files (source, to_version);
CREATE INDEX files_by_content ON files (content);
CREATE TRIGGER file_added AFTER INSERT ON files BEGIN
  UPDATE contents SET files = files + 1 WHERE id = NEW.content;
END;
CREATE TRIGGER file_dropped AFTER DELETE ON files BEGIN
  UPDATE contents SET files = files - 1 WHERE id = OLD.content;
  DELETE FROM contents WHERE id = OLD.content AND files = 0;
END;
)";

absl::string_view BytesOf(const Sha256& digest) {
  return {reinterpret_cast<const char*>(digest.bytes.data()), digest.bytes.size()};
}

std::optional<Sha256> DigestFrom(const std::string& bytes) {
  Sha256 digest;
  if (bytes.size() != digest.bytes.size()) return std::nullopt;
  std::memcpy(digest.bytes.data(), bytes.data(), bytes.size());
  return digest;
}

// The first that is not OK.
absl::Status FirstError(std::initializer_list<absl::Status> statuses) {
  for (const absl::Status& status : statuses) {
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

// Whether the files of the newest version are those that its digest is of.
bool IsWhole(const RecordedHistory& recorded) {
  if (recorded.versions.empty()) return recorded.intervals.empty();
  TreeDigest digest;
  for (const auto& [path, interval] : recorded.intervals) {
    if (interval.to == FileInterval::kOpen) digest.Add(path, interval.content->digest);
  }
  return digest.Finish() == recorded.versions.back().digest;
}

}  // namespace

absl::StatusOr<std::unique_ptr<HistoryDatabase>> HistoryDatabase::Open(const std::string& path,
                                                                       bool read_only) {
  auto database = SqliteDatabase::Open(path, read_only);
  if (!database.ok()) return database.status();
  std::unique_ptr<HistoryDatabase> history(new HistoryDatabase(*std::move(database)));
  const auto application = history->database_->QueryInteger("PRAGMA application_id");
  if (!application.ok()) return application.status();
  const auto tables = history->database_->QueryInteger("SELECT count(*) FROM sqlite_schema");
  if (!tables.ok()) return tables.status();
  const auto version = history->database_->QueryInteger("PRAGMA user_version");
  if (!version.ok()) return version.status();
  if (*tables > 0 && *application != kApplicationId) {
    return absl::FailedPreconditionError("it is a database of another program");
  }
  if (*version > kSchemaVersion) {
    return absl::FailedPreconditionError("it was written by a newer Confstream");
  }
  if (read_only) return history;
  if (absl::Status status = history->Prepare(); !status.ok()) return status;
  return history;
}

absl::Status HistoryDatabase::Prepare() {
  // FULL: a commit is on disk when it returns; otherwise a power cut could bring back
  // numbers that were used. secure_delete: what a source that became sensitive had is gone.
  absl::Status status = FirstError({database_->Execute("PRAGMA secure_delete = ON"),
                                    database_->Execute("PRAGMA journal_mode = WAL"),
                                    database_->Execute("PRAGMA synchronous = FULL")});
  if (!status.ok()) return status;
  const auto tables = database_->QueryInteger("SELECT count(*) FROM sqlite_schema");
  if (!tables.ok()) return tables.status();
  if (*tables > 0) return absl::OkStatus();
  return database_->InTransaction([this] {
    return FirstError({database_->Execute(kSchema),
                       database_->Execute(absl::StrCat("PRAGMA application_id = ", kApplicationId)),
                       database_->Execute(absl::StrCat("PRAGMA user_version = ", kSchemaVersion))});
  });
}

absl::StatusOr<RecordedHistory> HistoryDatabase::Load(const std::string& source) {
  RecordedHistory recorded;
  absl::Status status = LoadSource(source, &recorded);
  if (status.ok()) status = LoadVersions(source, &recorded);
  if (status.ok()) status = LoadFiles(source, &recorded);
  if (!status.ok()) return status;
  if (!IsWhole(recorded)) return absl::DataLossError("the newest version lacks files");
  return recorded;
}

absl::Status HistoryDatabase::LoadSource(const std::string& source, RecordedHistory* recorded) {
  auto query = database_->Prepare(
      "SELECT epoch, reserved_until, dropped_up_to, pin_version, pin_time, pin_expire_time, "
      "pin_reason, pin_replaced, pin_last_read FROM sources WHERE name = ?1");
  if (!query.ok()) return query.status();
  return query->BindText(1, source).ForEach([&] {
    recorded->epoch = query->Bytes(0);
    recorded->reserved_until = query->Integer(1);
    recorded->dropped_up_to = query->Integer(2);
    if (query->IsNull(3)) return;
    Pin& pin = recorded->pin.emplace();
    pin.version = query->Integer(3);
    pin.pin_time = absl::FromUnixNanos(query->Integer(4));
    if (!query->IsNull(5)) pin.expire_time = absl::FromUnixNanos(query->Integer(5));
    pin.reason = query->Bytes(6);
    pin.replaced = DigestFrom(query->Bytes(7)).value_or(Sha256());
    pin.last_read = DigestFrom(query->Bytes(8));
  });
}

absl::Status HistoryDatabase::LoadVersions(const std::string& source, RecordedHistory* recorded) {
  auto query = database_->Prepare(
      "SELECT version, epoch, digest, publish_time, origin, rolled_back_to, file_count, "
      "size_bytes, changed_file_count, removed_file_count FROM versions WHERE source = ?1 "
      "ORDER BY version");
  if (!query.ok()) return query.status();
  return query->BindText(1, source).ForEach([&] {
    VersionSummary& version = recorded->versions.emplace_back();
    version.version = query->Integer(0);
    version.epoch = query->Bytes(1);
    version.digest = DigestFrom(query->Bytes(2)).value_or(Sha256());
    version.publish_time = absl::FromUnixNanos(query->Integer(3));
    version.origin = query->Integer(4) == 0 ? SnapshotOrigin::kFiles : SnapshotOrigin::kRollback;
    version.rolled_back_to = query->Integer(5);
    version.file_count = query->Integer(6);
    version.size_bytes = query->Integer(7);
    version.changed_file_count = query->Integer(8);
    version.removed_file_count = query->Integer(9);
  });
}

absl::Status HistoryDatabase::LoadFiles(const std::string& source, RecordedHistory* recorded) {
  std::map<int64_t, std::shared_ptr<const FileContent>> contents;
  bool damaged = false;
  auto query = database_->Prepare(
      "SELECT id, digest, bytes FROM contents "
      "WHERE id IN (SELECT content FROM files WHERE source = ?1)");
  if (!query.ok()) return query.status();
  absl::Status status = query->BindText(1, source).ForEach([&] {
    std::string bytes = query->Bytes(2);
    const Sha256 digest = Sha256::Of(bytes);
    damaged = damaged || BytesOf(digest) != query->Bytes(1);
    contents[query->Integer(0)] =
        std::make_shared<const FileContent>(FileContent{std::move(bytes), digest});
  });
  if (!status.ok()) return status;
  query = database_->Prepare(
      "SELECT path, from_version, to_version, content FROM files WHERE source = ?1 "
      "ORDER BY path, from_version");
  if (!query.ok()) return query.status();
  status = query->BindText(1, source).ForEach([&] {
    FileInterval interval;
    interval.from = query->Integer(1);
    if (!query->IsNull(2)) interval.to = query->Integer(2);
    const auto content = contents.find(query->Integer(3));
    if (content == contents.end()) {
      damaged = true;
      return;
    }
    interval.content = content->second;
    recorded->intervals.emplace_back(query->Bytes(0), std::move(interval));
  });
  if (status.ok() && damaged) return absl::DataLossError("a content is not what its digest says");
  return status;
}

absl::Status HistoryDatabase::Record(const std::string& source,
                                     const UnrecordedHistory& unrecorded) {
  absl::Status recorded = database_->InTransaction([&] {
    absl::Status status;
    if (unrecorded.everything) status.Update(DeleteContents(source));
    if (status.ok()) status.Update(WriteSource(source, unrecorded));
    if (status.ok()) status.Update(WriteVersions(source, unrecorded));
    for (const RecordedChange& change : unrecorded.changes) {
      if (status.ok()) status.Update(EndFile(source, change.path, change.version));
      if (status.ok() && change.content != nullptr) {
        status.Update(
            WriteFile(source, change.path, {change.version, FileInterval::kOpen, change.content}));
      }
    }
    for (const auto& [path, interval] : unrecorded.intervals) {
      if (status.ok()) status.Update(WriteFile(source, path, interval));
    }
    if (status.ok()) status.Update(Drop(source, unrecorded.dropped_up_to));
    return status;
  });
  if (!recorded.ok() || !unrecorded.everything) return recorded;
  // What was replaced may have been sensitive, and the log beside the file has old pages.
  return database_->Execute("PRAGMA wal_checkpoint(TRUNCATE)");
}

absl::Status HistoryDatabase::WriteSource(const std::string& source,
                                          const UnrecordedHistory& unrecorded) {
  auto statement = database_->Prepare(
      "INSERT OR REPLACE INTO sources VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)");
  if (!statement.ok()) return statement.status();
  statement->BindText(1, source)
      .BindText(2, unrecorded.epoch)
      .Bind(3, unrecorded.reserve_until)
      .Bind(4, unrecorded.dropped_up_to);
  if (const std::optional<Pin>& pin = unrecorded.pin; pin.has_value()) {
    statement->Bind(5, pin->version)
        .Bind(6, absl::ToUnixNanos(pin->pin_time))
        .BindText(8, pin->reason)
        .BindBlob(9, BytesOf(pin->replaced));
    if (pin->expire_time != absl::InfiniteFuture()) {
      statement->Bind(7, absl::ToUnixNanos(pin->expire_time));
    }
    if (pin->last_read.has_value()) statement->BindBlob(10, BytesOf(*pin->last_read));
  }
  return statement->Run();
}

absl::Status HistoryDatabase::WriteVersions(const std::string& source,
                                            const UnrecordedHistory& unrecorded) {
  auto statement = database_->Prepare(
      "INSERT INTO versions VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)");
  if (!statement.ok()) return statement.status();
  for (const VersionSummary& version : unrecorded.versions) {
    absl::Status status = statement->BindText(1, source)
                              .Bind(2, version.version)
                              .BindText(3, version.epoch)
                              .BindBlob(4, BytesOf(version.digest))
                              .Bind(5, absl::ToUnixNanos(version.publish_time))
                              .Bind(6, version.origin == SnapshotOrigin::kFiles ? 0 : 1)
                              .Bind(7, version.rolled_back_to)
                              .Bind(8, version.file_count)
                              .Bind(9, version.size_bytes)
                              .Bind(10, version.changed_file_count)
                              .Bind(11, version.removed_file_count)
                              .Run();
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status HistoryDatabase::WriteFile(const std::string& source, const std::string& path,
                                        const FileInterval& interval) {
  const FileContent& content = *interval.content;
  auto insert =
      database_->Prepare("INSERT OR IGNORE INTO contents (digest, bytes) VALUES (?1, ?2)");
  if (!insert.ok()) return insert.status();
  absl::Status status =
      insert->BindBlob(1, BytesOf(content.digest)).BindBlob(2, content.bytes).Run();
  if (!status.ok()) return status;
  auto statement = database_->Prepare(
      "INSERT INTO files SELECT ?1, ?2, ?3, ?4, id FROM contents WHERE digest = ?5");
  if (!statement.ok()) return statement.status();
  statement->BindText(1, source)
      .BindBlob(2, path)
      .Bind(3, interval.from)
      .BindBlob(5, BytesOf(content.digest));
  if (interval.to != FileInterval::kOpen) statement->Bind(4, interval.to);
  return statement->Run();
}

absl::Status HistoryDatabase::EndFile(const std::string& source, const std::string& path,
                                      int64_t version) {
  auto statement = database_->Prepare(
      "UPDATE files SET to_version = ?3 WHERE source = ?1 AND path = ?2 AND to_version IS NULL");
  if (!statement.ok()) return statement.status();
  return statement->BindText(1, source).BindBlob(2, path).Bind(3, version).Run();
}

absl::Status HistoryDatabase::Drop(const std::string& source, int64_t up_to) {
  auto versions = database_->Prepare("DELETE FROM versions WHERE source = ?1 AND version <= ?2");
  if (!versions.ok()) return versions.status();
  absl::Status status = versions->BindText(1, source).Bind(2, up_to).Run();
  if (!status.ok()) return status;
  auto files = database_->Prepare(
      "DELETE FROM files WHERE source = ?1 AND to_version <= "
      "(SELECT min(version) FROM versions WHERE source = ?1)");
  if (!files.ok()) return files.status();
  return files->BindText(1, source).Run();
}

absl::Status HistoryDatabase::DeleteContents(const std::string& source) {
  for (const char* sql :
       {"DELETE FROM files WHERE source = ?1", "DELETE FROM versions WHERE source = ?1"}) {
    auto statement = database_->Prepare(sql);
    if (!statement.ok()) return statement.status();
    absl::Status status = statement->BindText(1, source).Run();
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace confstream
