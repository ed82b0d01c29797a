// Confstream's client for C++: follows the configuration that a confstreamd serves.
//
//   confstream::Client client("127.0.0.1:50051");
//   confstream::Watch watch(client, {.source = "demo"});
//   auto [status, snapshot] = watch.Wait(std::chrono::seconds(10));
//
// A Client is the connection to one server, a Watch follows one source or a part of it for as long
// as it lives, a Snapshot is the files of one version, whole. What a Watch promises is written down
// in docs/clients.md.
//
// Errors are told as gRPC tells them, by a Status with a code and a sentence. Nothing here throws,
// but std::bad_alloc, and std::system_error if no thread can be started. An address that is none is
// told where a server that does not answer is: by the Watch.
//
// This header needs the standard library of C++17 and nothing else.

#ifndef CONFSTREAM_CLIENT_H_
#define CONFSTREAM_CLIENT_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace grpc {
class ChannelCredentials;
}

namespace confstream {

class Connection;
class WatchRunner;

// Inline, so that no name of this header is also one inside the library.
inline namespace client {

// The codes of gRPC, with its numbers.
enum class StatusCode {
  kOk = 0,
  kCancelled = 1,
  kUnknown = 2,
  kInvalidArgument = 3,
  kDeadlineExceeded = 4,
  kNotFound = 5,
  kAlreadyExists = 6,
  kPermissionDenied = 7,
  kResourceExhausted = 8,
  kFailedPrecondition = 9,
  kAborted = 10,
  kOutOfRange = 11,
  kUnimplemented = 12,
  kInternal = 13,
  kUnavailable = 14,
  kDataLoss = 15,
  kUnauthenticated = 16,
};

// As in "NOT_FOUND".
std::string_view StatusCodeName(StatusCode code);

// How something ended: well, or with a code for programs and a sentence for people. A value.
class [[nodiscard]] Status {
 public:
  // Well.
  Status() = default;
  Status(StatusCode code, std::string message) : code_(code), message_(std::move(message)) {}

  bool ok() const { return code_ == StatusCode::kOk; }
  StatusCode code() const { return code_; }
  const std::string& message() const { return message_; }

 private:
  StatusCode code_ = StatusCode::kOk;
  std::string message_;
};

// One file of a snapshot. Its bytes are shared with the other snapshots that have them.
struct File {
  std::string path;  // relative to the source, components separated by `/`
  std::shared_ptr<const std::string> content;  // never null
  std::string digest;                          // "sha256:<hex>" of `content`
  std::string content_type;                    // by the file's name, for example application/yaml
  std::int64_t last_changed_version = 0;       // the version that brought this content
};

// The files of one version, all from one moment and checked against `view_digest`. Immutable: it
// may be used by any thread, and kept for as long as it is wanted.
struct Snapshot {
  std::string source;
  std::string epoch;         // identity of the version history: versions compare only within it
  std::int64_t version = 0;  // from 1
  std::string digest;        // over all files of the version, whatever the path globs
  std::string view_digest;   // "sha256:<hex>" over `files`, as `sha256sum` would print them
  std::chrono::system_clock::time_point publish_time;  // by the server's clock
  std::int64_t rolled_back_to = 0;  // an operator published this version's content again; or 0
  std::vector<File> files;          // in byte order of paths
  std::vector<std::string> missing_globs;  // path globs that select none of `files`

  // The file at `path`, or null. It lives as long as the snapshot.
  const File* Find(std::string_view path) const;
};

// What WatchOptions::on_change is told.
struct Change {
  std::shared_ptr<const Snapshot> old_snapshot;  // what on_change was given last; null at first
  std::shared_ptr<const Snapshot> snapshot;      // never null
  bool from_cache = false;  // it is the copy on disk; the server has not spoken
};

// What a log is told.
struct Event {
  enum class Kind {
    kConnected,     // the server answered on a new stream
    kDisconnected,  // a stream ended unasked with `code`; the next one is tried in `retry_in`
    kStale,         // what is held may be out of date: as Watch::stale() has become true
    kFresh,         // what is held is current, and no longer stale
    kStartedOver,   // what the server sent contradicts itself, or is too large: thrown away
    kEnded,         // the watch ended by itself with `code`: nothing more will come
    kCache,         // the copy on disk was taken, or something is wrong with it
    kRejected,      // on_change failed with a version
    kReport,        // the server could not be told what became of a version
  };
  enum class Level { kInfo, kWarning, kError };

  Kind kind;
  Level level;
  std::string message;  // one sentence
  StatusCode code = StatusCode::kOk;
  std::chrono::milliseconds retry_in{0};
};

// How changes are sent.
enum class WatchMode {
  kDelta,     // what changed, where that is less than the whole
  kSnapshot,  // all files each time
};

// What became of a version.
enum class Outcome { kApplied, kRejected };

struct WatchOptions {
  // Name of the source. Required.
  std::string source;

  // What to watch of it, for example "*.yaml" and "certs/**". Empty: all files.
  std::vector<std::string> path_globs = {};

  // Gets every change, one at a time and in order, on a thread of the watch. While it works, newer
  // versions replace one another: it misses some then, but never the newest. What it returns is
  // reported to the server: the version was applied, or rejected for the reason in the Status; to
  // throw is to reject, too. Null: Watch::Report can be called instead.
  std::function<Status(const Change&)> on_change = nullptr;

  WatchMode mode = WatchMode::kDelta;

  // After this time without another message the server says that it lives; who has heard nothing
  // for three of them is stale. From 1 s to 1 h.
  std::chrono::milliseconds heartbeat = std::chrono::seconds(30);

  // The least time between two versions; those in between are skipped. 0: none. At most 1 h.
  std::chrono::milliseconds min_update_interval{0};

  // Who `confstream who` shows, at most 256 bytes. Empty: the name of the program.
  std::string client_id = {};

  // More of that, for example the pod's name: at most 16 entries, of at most 256 bytes each.
  std::map<std::string, std::string> labels = {};

  // Directory in which the last good snapshot is kept, to start with when the server is away; it is
  // made if it is missing. Empty: none is kept. What is sensitive does not belong on a disk.
  std::string cache_directory = {};

  // Most bytes of content that a version may have. One that has more is refused, and tried again.
  std::int64_t max_bytes = std::int64_t{1} << 30;

  // Is told what happens, one call at a time, on the threads of the watch (of the copy on disk also
  // by its constructor), which wait for it. It must not throw, and may call any method of the watch
  // but Wait. Null: nothing is said.
  std::function<void(const Event&)> log = nullptr;
};

// The connection to one server, shared by all watches that are made with it or its copies: each of
// them keeps it open. Connects when the first watch needs it. Belongs to the process that made it:
// not to be used, nor destroyed, by one that was forked from it. Thread-safe.
class Client {
 public:
  // `address` is host:port, [v6-address]:port or unix:PATH. Watches of anything else end with
  // INVALID_ARGUMENT. The connection is neither encrypted nor authenticated.
  explicit Client(std::string_view address);

  // The same with gRPC's credentials, for example grpc::SslCredentials({}).
  Client(std::string_view address, std::shared_ptr<grpc::ChannelCredentials> credentials);

 private:
  friend class Watch;

  std::shared_ptr<Connection> connection_;  // null: error_ says why
  Status error_;
};

// What Watch::Wait returns: the snapshot, which is null if `status` is an error.
struct Waited {
  Status status;
  std::shared_ptr<const Snapshot> snapshot;
};

// Follows a source, over as many streams as it takes, until it is closed or the server answers with
// an error that will not pass: NOT_FOUND, INVALID_ARGUMENT, OUT_OF_RANGE, FAILED_PRECONDITION,
// PERMISSION_DENIED, UNAUTHENTICATED or UNIMPLEMENTED. What is held stays held then, too. Has two
// threads. Thread-safe, but for the move and the destructor.
class Watch {
 public:
  // Begins at once, and reads the copy on disk before it returns. Options that are wrong end the
  // watch with INVALID_ARGUMENT.
  Watch(const Client& client, WatchOptions options);

  // Closes.
  ~Watch();
  // What was moved away can be assigned to or destroyed, and nothing else.
  Watch(Watch&&) noexcept;
  // Closes what it was before.
  Watch& operator=(Watch&&) noexcept;

  // Waits until the server has settled the watch, by content or by word that the copy held is
  // current, and returns what is held; at once if it has done so before. If that has not happened
  // after `timeout`, returns the copy from the disk, which is stale() then. Errors: the one that
  // the watch ended with; CANCELLED: it was closed; DEADLINE_EXCEEDED: nothing is held, and the
  // message says what kept the watch waiting.
  Waited Wait(std::chrono::milliseconds timeout);

  // The newest complete snapshot, or null. Never blocks. Once closed, the last one.
  std::shared_ptr<const Snapshot> Current() const;

  // True: Current() may be out of date, since it comes from the disk and the server has not
  // confirmed it, since nothing was heard of the server for three heartbeats, or since the watch
  // has ended or is closed.
  bool stale() const;

  // The error that the watch ended with by itself; ok while it goes on, and once closed.
  Status status() const;

  // Tells the server what became of `snapshot`, for programs without on_change. `reason` is for
  // people: why it was rejected, of which 1024 bytes are sent. Blocks for 5 s at most. What the
  // server could not be told of the newest snapshot is told with its next message, and so it is
  // again after a reconnection. Errors: those of the call.
  Status Report(const Snapshot& snapshot, Outcome outcome, std::string_view reason = {});

  // Ends the watch: no on_change begins after it, and one that is running is waited for, as both
  // threads are. Called from on_change or the log, it waits for nothing. May be called again.
  void Close();

 private:
  std::shared_ptr<WatchRunner> runner_;  // null: moved away
};

}  // namespace client
}  // namespace confstream

#endif  // CONFSTREAM_CLIENT_H_
