#include "client/cpp/snapshot_assembler.h"

#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/text.h"
#include "server/snapshot/snapshot.h"

namespace confstream {
namespace {

using v1::WatchResponse;

constexpr int64_t kOverheadOfFile = 200;  // what a file takes besides its content, path and type

bool IsData(const WatchResponse& message) { return message.has_snapshot() || message.has_delta(); }

const std::string& ViewDigest(const WatchResponse& message) {
  return message.has_delta() ? message.delta().view_digest() : message.snapshot().view_digest();
}

std::string Name(const v1::ResponseHeader& header) {
  return absl::StrCat("version ", header.version(), " of source ",
                      EscapeForDisplay(header.source()));
}

absl::Status Nonsense(const v1::ResponseHeader& header, absl::string_view what) {
  return absl::DataLossError(absl::StrCat("the server sent ", Name(header), " wrong: ", what));
}

std::string DigestOf(const std::vector<ReceivedFile>& files) {
  TreeDigest digest;
  for (const ReceivedFile& file : files) digest.Add(file.path, file.digest);
  return digest.Finish().Text();
}

}  // namespace

void SnapshotAssembler::Hold(std::shared_ptr<const ReceivedSnapshot> snapshot) {
  held_ = std::move(snapshot);
  resume_token_ = held_->header.resume_token();
  stands_ = true;
}

void SnapshotAssembler::BeginStream() {
  pending_.reset();
  stream_epoch_.clear();
  stream_version_ = 0;
  stands_ = held_ != nullptr && !resume_token_.empty();
}

absl::StatusOr<std::shared_ptr<const ReceivedSnapshot>> SnapshotAssembler::Take(
    const WatchResponse& message) {
  const std::shared_ptr<const ReceivedSnapshot> nothing;
  if (!IsData(message)) {
    if (pending_.has_value()) {
      return Nonsense(pending_->snapshot.header, "another message came between its fragments");
    }
    if (message.in_sync() && message.header().version() != 0 && !stands_) {
      return Nonsense(message.header(), "it is called in sync, but was never sent");
    }
    if (absl::Status moved = MoveOn(message.header()); !moved.ok()) return moved;
    return nothing;
  }

  absl::Status taken = pending_.has_value() ? CheckContinues(message) : BeginVersion(message);
  if (!taken.ok()) return taken;
  const auto& files =
      message.has_delta() ? message.delta().changed_files() : message.snapshot().files();
  for (const v1::ConfigFile& file : files) {
    taken = AddFile(file);
    if (!taken.ok()) return taken;
  }
  if (message.has_delta()) taken = AddRemovals(message.delta());
  if (!taken.ok()) return taken;
  if (message.more_fragments()) return nothing;
  return FinishVersion(message);
}

absl::Status SnapshotAssembler::BeginVersion(const WatchResponse& message) {
  const v1::ResponseHeader& header = message.header();
  if (header.version() < 1) return Nonsense(header, "versions begin at 1");
  if (header.epoch() == stream_epoch_ && header.version() <= stream_version_) {
    return Nonsense(header, absl::StrCat("version ", stream_version_, " came before it"));
  }
  Pending pending;
  pending.kind = message.event_case();
  if (message.has_delta()) {
    pending.base_version = message.delta().base_version();
    if (!stands_ || held_->header.version() != pending.base_version) {
      return Nonsense(header, absl::StrCat("it is a delta against version ", pending.base_version,
                                           ", which is not the one held"));
    }
  }
  pending.snapshot.header = header;
  pending.snapshot.reason = message.reason();
  pending.snapshot.skipped_versions = message.skipped_versions();
  pending.snapshot.view_digest = ViewDigest(message);
  pending_ = std::move(pending);
  return absl::OkStatus();
}

absl::Status SnapshotAssembler::CheckContinues(const WatchResponse& message) const {
  const v1::ResponseHeader& begun = pending_->snapshot.header;
  if (message.event_case() != pending_->kind || message.header().epoch() != begun.epoch() ||
      message.header().version() != begun.version() ||
      ViewDigest(message) != pending_->snapshot.view_digest ||
      (message.has_delta() && message.delta().base_version() != pending_->base_version)) {
    return Nonsense(begun, "a fragment of something else came before its end");
  }
  return absl::OkStatus();
}

absl::Status SnapshotAssembler::AddFile(const v1::ConfigFile& part) {
  const v1::ResponseHeader& header = pending_->snapshot.header;
  const std::vector<ReceivedFile>& files = pending_->snapshot.files;
  const auto shown = [&part] { return EscapeForDisplay(part.path()); };

  pending_->bytes += static_cast<int64_t>(part.content().size());
  if (!pending_->partial.has_value()) {
    pending_->overhead +=
        kOverheadOfFile + static_cast<int64_t>(part.path().size() + part.content_type().size());
  }
  if (absl::Status taken = CheckSize(pending_->bytes, pending_->overhead); !taken.ok())
    return taken;
  if (pending_->partial.has_value()) {
    v1::ConfigFile& partial = *pending_->partial;
    if (part.path() != partial.path() || part.size_bytes() != partial.size_bytes() ||
        part.digest() != partial.digest() ||
        part.content_offset() != static_cast<int64_t>(partial.content().size())) {
      return Nonsense(header,
                      absl::StrCat("after byte ", partial.content().size(), " of file `",
                                   EscapeForDisplay(partial.path()), "` comes something else (`",
                                   shown(), "` from byte ", part.content_offset(), ")"));
    }
    partial.mutable_content()->append(part.content());
  } else {
    if (part.path().empty()) return Nonsense(header, "a file without a path");
    if (!files.empty() && part.path() <= files.back().path) {
      return Nonsense(header, absl::StrCat("file `", shown(), "` comes after `",
                                           EscapeForDisplay(files.back().path), "`"));
    }
    if (part.content_offset() != 0) {
      return Nonsense(header,
                      absl::StrCat("file `", shown(), "` begins at byte ", part.content_offset()));
    }
    pending_->partial = part;
  }

  const int64_t received = static_cast<int64_t>(pending_->partial->content().size());
  if (received > pending_->partial->size_bytes()) {
    return Nonsense(header, absl::StrCat("file `", shown(), "` is longer than its ",
                                         pending_->partial->size_bytes(), " bytes"));
  }
  if (received < pending_->partial->size_bytes()) return absl::OkStatus();
  v1::ConfigFile whole = *std::exchange(pending_->partial, std::nullopt);
  return FinishFile(std::move(whole));
}

absl::Status SnapshotAssembler::FinishFile(v1::ConfigFile whole) {
  ReceivedFile file;
  file.digest = Sha256::Of(whole.content());
  if (file.digest.Text() != whole.digest()) {
    return Nonsense(
        pending_->snapshot.header,
        absl::StrCat("the bytes of file `", EscapeForDisplay(whole.path()), "` have the digest ",
                     file.digest.Text(), ", not ", EscapeForDisplay(whole.digest())));
  }
  file.path = whole.path();
  file.content = std::make_shared<const std::string>(std::move(*whole.mutable_content()));
  file.content_type = whole.content_type();
  file.last_changed_version = whole.last_changed_version();
  pending_->snapshot.files.push_back(std::move(file));
  return absl::OkStatus();
}

absl::Status SnapshotAssembler::AddRemovals(const v1::Delta& fragment) {
  for (const std::string& path : fragment.removed_paths()) {
    // This also bounds what is kept.
    if (held_->Find(path) == nullptr) {
      return Nonsense(
          pending_->snapshot.header,
          absl::StrCat("it removes file `", EscapeForDisplay(path), "`, which is not there"));
    }
    pending_->removed_paths.insert(path);
  }
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<const ReceivedSnapshot>> SnapshotAssembler::FinishVersion(
    const WatchResponse& message) {
  if (pending_->partial.has_value()) {
    return Nonsense(message.header(),
                    absl::StrCat("file `", EscapeForDisplay(pending_->partial->path()),
                                 "` ends before its last byte"));
  }
  if (message.has_delta()) {
    const absl::Status applied = ApplyDelta();
    if (!applied.ok()) return applied;
  }
  const auto& globs =
      message.has_delta() ? message.delta().missing_globs() : message.snapshot().missing_globs();
  pending_->snapshot.missing_globs.assign(globs.begin(), globs.end());
  ReceivedSnapshot& snapshot = pending_->snapshot;
  const std::string digest = DigestOf(snapshot.files);
  if (digest != snapshot.view_digest) {
    return Nonsense(message.header(),
                    absl::StrCat("its files have the view digest ", digest, ", not ",
                                 EscapeForDisplay(snapshot.view_digest)));
  }
  snapshot.header = message.header();
  snapshot.in_sync = message.in_sync();
  stream_epoch_ = snapshot.header.epoch();
  stream_version_ = snapshot.header.version();
  resume_token_ = snapshot.header.resume_token();
  stands_ = true;
  held_ = std::make_shared<const ReceivedSnapshot>(std::move(snapshot));
  pending_.reset();
  return held_;
}

absl::Status SnapshotAssembler::ApplyDelta() {
  ReceivedSnapshot& snapshot = pending_->snapshot;
  std::map<std::string, ReceivedFile> files;
  int64_t bytes = 0;
  int64_t overhead = 0;
  for (const ReceivedFile& file : held_->files) files[file.path] = file;
  for (const std::string& path : pending_->removed_paths) files.erase(path);
  for (ReceivedFile& file : snapshot.files) files[file.path] = std::move(file);
  snapshot.files.clear();
  for (auto& [path, file] : files) {
    bytes += static_cast<int64_t>(file.content->size());
    overhead += kOverheadOfFile + static_cast<int64_t>(path.size() + file.content_type.size());
    snapshot.files.push_back(std::move(file));
  }
  return CheckSize(bytes, overhead);
}

absl::Status SnapshotAssembler::CheckSize(int64_t bytes, int64_t overhead) const {
  if (bytes <= max_bytes_ && overhead <= kMostOverheadBytes) return absl::OkStatus();
  return absl::ResourceExhaustedError(absl::StrCat(Name(pending_->snapshot.header),
                                                   " has more than the ", max_bytes_,
                                                   " bytes that this client takes"));
}

absl::Status SnapshotAssembler::MoveOn(const v1::ResponseHeader& header) {
  if (header.version() < 0) return Nonsense(header, "versions begin at 1");
  // Unless the server knows what is held, a token would claim what this client does not have.
  if (!stands_ || header.version() == 0 || header.resume_token().empty()) return absl::OkStatus();
  if (header.epoch() == stream_epoch_ && header.version() < stream_version_) {
    return Nonsense(header, absl::StrCat("version ", stream_version_, " came before it"));
  }
  stream_epoch_ = header.epoch();
  stream_version_ = header.version();
  resume_token_ = header.resume_token();
  if (header.epoch() == held_->header.epoch() && header.version() == held_->header.version()) {
    return absl::OkStatus();
  }
  auto moved = std::make_shared<ReceivedSnapshot>(*held_);
  moved->header = header;
  held_ = std::move(moved);
  return absl::OkStatus();
}

}  // namespace confstream
