// Which directories are watched for one source, and what an event there means to it.

#ifndef CONFSTREAM_SERVER_WATCH_WATCH_PLAN_H_
#define CONFSTREAM_SERVER_WATCH_WATCH_PLAN_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "server/base/file_system.h"
#include "server/base/link_resolver.h"
#include "server/base/mount_guard.h"
#include "server/base/source_tree.h"
#include "server/snapshot/source_config.h"
#include "server/watch/event_source.h"

namespace confstream {

// What an event means to a source.
struct EventMeaning {
  enum What {
    kNothing,
    kCommit,   // a hop was replaced atomically
    kChange,   // something changed that is complete at once, or that nobody can tell
    kWriting,  // a file was written to and is still open
    kClosed,   // a file was closed after writing
  };

  What what = kNothing;
  HopName hop;       // with kCommit
  std::string file;  // with kWriting, kClosed and kChange: names the file for the debouncer
  std::vector<std::string> touched;     // relative paths of files that may have changed
  bool touched_all = false;             // nobody can tell which files
  bool route_may_differ = false;        // plan again at once: the source may lead elsewhere
  bool directory_came_or_went = false;  // plan again soon: the tree is another, or may be
  bool tree_may_differ = false;         // plan again before the next reading: a link may have come
  bool watch_ended = false;
  std::string left_out;  // with kNothing: an entry that an operator may have taken for a part of
                         // the source, and why it is none
};

// Thread-compatible: the watch thread owns it. The destructor drops all watches.
class WatchPlan {
 public:
  struct Armed {
    bool agreed = true;        // two looks in a row did; otherwise plan again soon
    bool route_agreed = true;  // they did on where the source leads
    bool rerouted = false;     // the source leads elsewhere than before
    bool grown = false;        // a directory is watched that was not
    absl::Status watching;     // not OK: some change would not be told, and why
    bool may_hang = false;     // the source, or a part of it, is where the guard forbids to look
    ResolvedPath route;        // as route(), but it holds what it leads through
  };

  // What is passed on outlives the plan. What `guard` forbids is not touched, and so not watched.
  WatchPlan(FileSystem* file_system, const MountGuard* guard, EventSource* events,
            const SourceConfig& config);
  ~WatchPlan();
  WatchPlan(const WatchPlan&) = delete;
  WatchPlan& operator=(const WatchPlan&) = delete;

  // Resolves the source and watches every directory that decides where it leads or that is read:
  // new watches before old ones go. Tries again while the source leads elsewhere each time, within
  // a bound; a tree that changes meanwhile is left for the next time, since looking at it is what
  // takes long.
  Armed Arm();

  // Without any hop before Arm() was called.
  const ResolvedPath& route() const { return route_; }
  EventMeaning Interpret(const WatchEvent& event) const;
  // Those of `mounts` that decide what the source is: on the way to it, and below it.
  std::vector<Mount> ConcernedMounts(const MountTable& mounts) const;

 private:
  // What one watched directory is to the source.
  struct Watched {
    int references = 0;  // taken at the event source
    std::string directory;
    absl::flat_hash_set<std::string> hops;  // entries that decide where the source leads
    absl::flat_hash_set<std::string>
        tree_hops;  // entries that decide where a link inside the tree leads
    std::vector<std::string>
        prefixes;  // of a tree directory: how relative paths of its files begin
    absl::flat_hash_set<std::string> files;  // entries that are read though the directory is not:
                                             // the source itself, or where links inside it lead
    bool is_end = false;                     // the way to a source that is missing ends here
  };
  using WatchedMap = absl::flat_hash_map<WatchId, Watched>;

  struct Look {
    ResolvedPath route;
    SourceTree tree;
    absl::Status listing;
  };

  Look LookAgain();
  // The same for the tree alone.
  Look LookAt(ResolvedPath route) const;
  // Watches all that `look` names. NOT_FOUND, FAILED_PRECONDITION: it has changed meanwhile; any
  // other error is in `armed->watching` and leaves the rest watched.
  absl::Status WatchAll(const Look& look, WatchedMap* watched, Armed* armed);
  // What `look` has that no watch on a directory tells of.
  absl::Status Unwatchable(const Look& look) const;
  absl::Status WatchOne(const std::string& directory, WatchInterest interest, WatchedMap* watched,
                        Armed* armed, Watched** entry);
  void Release(const WatchedMap& watched);
  void InterpretContent(const Watched& watched, const WatchEvent& event,
                        EventMeaning* meaning) const;

  FileSystem* const file_system_;
  const MountGuard* const guard_;
  EventSource* const events_;
  const std::string path_;
  const TreeRules rules_;
  const LinkResolver resolver_;

  bool is_volume_ = false;  // has been a Kubernetes volume once, and stays one
  ResolvedPath route_;
  bool has_tree_links_ = false;
  WatchedMap watched_;
};

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_WATCH_WATCH_PLAN_H_
